"""The values that a user gives on the command line (``-f``, ``--set`` and its siblings), taken as Helm takes them."""

import json
import re
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from gitops_runtime_auth.config.values import Values
from gitops_runtime_auth.errors import ConfigurationError
from gitops_runtime_auth.preflight import strvals


class _Loader(yaml.SafeLoader):
    """YAML as Helm reads it (``sigs.k8s.io/yaml``): dates and base-60 numbers stay text, ``y`` and ``1e3`` do not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a map whose keys are text, as JSON wants it."""
        found = super().construct_mapping(node, deep)
        return {key if isinstance(key, str) else json.dumps(key): value for key, value in found.items()}

    def construct_scalar(self, node: Any) -> Any:
        """Return a scalar, but no half of a surrogate pair, which Helm does not take either."""
        found = super().construct_scalar(node)
        if isinstance(found, str) and not _is_text(found):
            raise yaml.MarkedYAMLError(problem="half of a surrogate pair", problem_mark=node.start_mark)
        return found


_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_TRUE = re.compile("y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON")
_FALSE = re.compile("n|N|no|No|NO|false|False|FALSE|off|Off|OFF")


def _scalar(_: yaml.SafeLoader, node: yaml.Node) -> Any:
    text = str(node.value)
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(text):
        padded = re.fullmatch("([-+]?)0([0-9]+)", plain)
        if not padded:
            return int(plain, 0)
        if not set(padded[2]) & set("89"):
            return int(f"{padded[1]}{padded[2]}", 8)
    return float(plain.lower().replace(".inf", "inf").replace(".nan", "nan"))


_PLAIN = "tag:yaml.org,2002:"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{_PLAIN}null", f"{_PLAIN}merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "!scalar",
    re.compile("(" + "|".join(p.pattern for p in (_TRUE, _FALSE, _INTEGER, _FLOAT)) + ")$"),
    list("yYnNtTfFoO+-.0123456789"),
)
_Loader.add_constructor("!scalar", _scalar)


def combine(
    files: Sequence[str] = (), sets: Sequence[str] = (), strings: Sequence[str] = (), from_files: Sequence[str] = ()
) -> Values:
    """Return the user's values: files first, then --set, --set-string and --set-file, whatever their order.

    A null stays: laid over the chart's defaults it deletes one (``values.merge``). Source: Helm's
    ``pkg/cli/values/options.go``. Raises ConfigurationError.
    """
    values: Values = {}
    for name in files:
        values = _overlay(values, _document(name))
    for flag, lines, reader in (
        ("--set", sets, strvals.typed),
        ("--set-string", strings, str),
        ("--set-file", from_files, _content),
    ):
        for line in lines:
            if not _is_text(line):  # bytes of another encoding, as Python hands them over
                raise ConfigurationError(f"A {flag} is not UTF-8 text.", "Type it in a UTF-8 terminal, or use a file.")
            try:
                strvals.parse_into(line, values, reader)
            except strvals.SyntaxProblemError:
                # No more than the first key is shown: what follows it may be a credential.
                raise ConfigurationError(
                    f"{flag} {line.partition('=')[0]}=... can't be read.",
                    r"Write key.subkey=value; a comma or a dot that belongs to a name or value needs a backslash (\,).",
                ) from None
    return values


def _is_text(found: str) -> bool:
    try:
        found.encode()
    except UnicodeEncodeError:
        return False
    return True


def _overlay(base: Values, over: Values) -> Values:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _document(name: str) -> Values:
    try:
        found: Any = yaml.load(_content(name), Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ConfigurationError(f"The values file {name} is not YAML{where}.", "Correct the file.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigurationError(
            f"The values file {name} holds a {type(found).__name__}, not keys and values.",
            "Start it with global: as the chart's README shows.",
        )
    return found


def _content(name: str) -> str:
    try:
        if name.strip() == "-":
            return sys.stdin.read()
        return Path(name).read_bytes().decode("utf-8")
    except OSError as e:
        raise ConfigurationError(f"The file {name} can't be read ({e.strerror}).", "Correct its name.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The file {name} is not UTF-8 text.", "Convert it to UTF-8.") from None
