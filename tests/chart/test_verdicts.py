"""One schema, two readers: helm 3 and helm 4 accept and refuse the same values files, in pinned words.

A file of ok/ or bad/ says in its first line what it proves. In bad/, each line ``# helm:`` is one that both helms
must print, and no other.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart import helm
from tests.chart.test_schema import SCHEMA

Record = Callable[[str, object], None]
HERE = Path(__file__).parent
OK = sorted((HERE / "ok").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))
SETTINGS = jsonschema.Draft7Validator(
    {"$ref": "#/definitions/settings", "definitions": SCHEMA["definitions"]},
)
"""What the hook validates the settings with, though Helm has done so before: Helm may have been told to skip it."""


def _pinned(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return sorted(line.removeprefix("# helm: ") for line in lines if line.startswith("# helm: "))


@pytest.mark.parametrize("path", OK, ids=lambda p: p.stem)
def test_accepted_by_both_and_by_kubernetes_and_the_hook(path: Path, record_property: Record) -> None:
    text = path.read_text(encoding="utf-8")
    three, four = (helm.template(text, helm=name) for name in helm.HELMS)
    assert four.code == 0, four.err
    manifests = three.manifests()
    assert three.documents() == four.documents()
    helm.validate(manifests)
    SETTINGS.validate(helm.settings(manifests, "r-key-keeper")["values"])
    record_property("alike", ("accepted", 0))


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_refused_by_both_in_pinned_words(path: Path, record_property: Record) -> None:
    text = path.read_text(encoding="utf-8")
    expected = _pinned(path)
    assert expected
    # Starting helm is what takes time. Helm 4 has the same library, but merges values in another way, global above all.
    both = "global:" in text or path.stem.startswith("many-") or "null" in text
    for name in helm.HELMS if both else helm.HELMS[:1]:
        run = helm.template(text, helm=name)
        assert (run.code, run.out) == (1, "")
        assert run.refusals() == expected
    record_property("alike", ("refused", len(expected)))


@pytest.mark.parametrize("name", helm.HELMS)
@pytest.mark.parametrize("case", ["auth-key-misspelt", "token-neither", "username-empty", "spelling-without-auth"])
def test_lint_refuses_too(name: str, case: str) -> None:
    path = HERE / "bad" / f"{case}.yaml"
    run = helm.run(name, "lint", helm.CHART, "--kube-version", helm.KUBERNETES, "-f", path)
    assert run.code == 1
    assert all(line in run.out + run.err for line in _pinned(path))


def _one_letter_off(name: str) -> set[str]:
    """Return ``name`` with one letter deleted, doubled, or changed with the next."""
    places = [(name[:i], name[i], name[i + 1 :]) for i in range(len(name))]
    deleted = {before + after for before, _, after in places}
    doubled = {before + letter * 2 + after for before, letter, after in places}
    swapped = {before + after[0] + letter + after[1:] for before, letter, after in places if after}
    return deleted | doubled | swapped


NAMES = ("external-arg-cd", "external-argo-cd")
MISSPELT = sorted((_one_letter_off(NAMES[0]) | _one_letter_off(NAMES[1])) - set(NAMES))


def test_every_slip_of_one_letter_in_the_blocks_name_is_refused() -> None:
    assert len(MISSPELT) > 70
    for block in ({"auth": {"username": "alice"}}, {"server": {"svc": "argocd-server"}}):
        run = helm.template({"global": dict.fromkeys(MISSPELT, block)})
        said = "value must be 'under the key external-arg-cd'"
        assert set(run.refusals()) >= {f"at '/global/{misspelt}': {said}" for misspelt in MISSPELT}


@pytest.mark.parametrize("name", helm.HELMS)
def test_set_of_a_number_like_password_hints_at_set_string(name: str) -> None:
    path = "global.external-arg-cd.auth.password"
    refused = helm.template(None, "--set", f"{path}=12345", helm=name)
    assert refused.code == 1
    assert "--set-string" in refused.err
    assert helm.template(None, "--set-string", f"{path}=12345", helm=name).code == 0


REPEATED = re.compile(r"(.)\{([0-9]+)\}")
FORMATS: dict[str, dict[str, list[Any]]] = yaml.safe_load(
    REPEATED.sub(lambda m: m[1] * int(m[2]), (HERE / "formats.yaml").read_text(encoding="utf-8"))
)


@pytest.mark.parametrize("place", FORMATS)
def test_formats_at_their_bounds(place: str) -> None:
    """Without helm, which takes half a second for each file of ok/ and bad/."""
    judge = jsonschema.Draft7Validator({**SCHEMA, "$ref": f"#/{place}"})
    cases = FORMATS[place]
    assert [value for value in cases["right"] if not judge.is_valid(value)] == []
    assert [value for value in cases["wrong"] if judge.is_valid(value)] == []


def test_every_case_says_what_it_proves() -> None:
    assert len(OK) >= 90
    assert len(BAD) >= 220
    for path in OK + BAD:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), path
        assert first.endswith("."), path


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda s: s.pop("keySecret"), "required"),
        (lambda s: s.pop("hook"), "required"),
        (lambda s: s.update(more={}), "additionalProperties"),
        (lambda s: s["global"].update(more={}), "additionalProperties"),
        (lambda s: s["global"].clear(), "required"),
        (lambda s: s.update({"global": 1}), "type"),
        (lambda s: s["global"]["external-arg-cd"].pop("auth"), "required"),
        (lambda s: s["global"]["external-arg-cd"].pop("server"), "required"),
        (lambda s: s["global"]["external-arg-cd"]["auth"].pop("passwordSecretKeyRef"), None),
        (lambda s: s["global"]["external-arg-cd"]["auth"].update(username=""), "const"),
        (lambda s: s["global"]["external-arg-cd"]["auth"].update(type="token"), "required"),
        (lambda s: s["keeper"].update(interval=0), "minimum"),
    ],
)
def test_settings_that_somebody_changed_are_refused_by_the_hook(
    change: Callable[[dict[str, Any]], object], word: str | None
) -> None:
    values = helm.settings(helm.render())["values"]
    assert SETTINGS.is_valid(values)
    change(values)
    assert {error.validator for error in SETTINGS.iter_errors(values)} == ({word} if word else set())
    assert not SETTINGS.is_valid("no map")
