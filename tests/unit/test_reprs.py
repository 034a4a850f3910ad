"""No credential is in the ``repr`` of any object, which logs, tracebacks and pytest print."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import gitops_runtime_auth

CONFIDENTIAL = frozenset(
    [
        "auth",
        "bearer",
        "body",
        "document",
        "documents",
        "given",
        "headers",
        "helm_flags",
        "helm_values",
        "json",
        "others",
        "password",
        "rendering",
        "secret",
        "stdin",
        "token",
        "values",
    ]
)
"""Names of fields that contain a credential, or something that may contain one, such as the user's values."""
HARMLESS = {("Settings", "auth")}
"""Fields of such a name that contain none."""


def dataclasses_of_the_package() -> Iterator[type]:
    for module in pkgutil.walk_packages(gitops_runtime_auth.__path__, "gitops_runtime_auth."):
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module.name:
                yield found


def test_no_confidential_field_is_in_a_repr() -> None:
    looked_at = 0
    for kind in dataclasses_of_the_package():
        made: object = kind.__new__(kind)  # type: ignore[call-overload]  # not object.__new__, for exceptions
        names = {field.name for field in dataclasses.fields(kind)}
        for name in names:
            object.__setattr__(made, name, f"canary-{name}")
        for name in names & CONFIDENTIAL:
            if (kind.__name__, name) not in HARMLESS:
                looked_at += 1
                assert f"canary-{name}" not in repr(made), f"{kind.__name__}.{name}"
    assert looked_at >= 15
