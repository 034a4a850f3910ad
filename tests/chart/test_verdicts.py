"""One schema, two readers: helm 3, helm 4 and the hook accept and refuse the same files, in pinned words.

A file of ok/ or bad/ says in its first line what it proves. In bad/, each line ``# helm:`` is one that both helms
must print (and no other), and ``# hook:`` is what the hook says.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from gitops_runtime_auth.config import settings, values
from gitops_runtime_auth.errors import ConfigurationError
from gitops_runtime_auth.preflight import overrides
from tests.chart import helm

Record = Callable[[str, object], None]
HERE = Path(__file__).parent
OK = sorted((HERE / "ok").glob("*.yaml"))
BAD = sorted((HERE / "bad").glob("*.yaml"))


def _hook(path: Path) -> str | None:
    """Return what the hook says against a values file, None when it accepts it."""
    user = overrides.combine(files=[str(path)])
    try:
        settings.load_values(values.merge(values.chart_defaults(), user, keep_nulls=True))
    except ConfigurationError as e:
        return f"{e.problem} {e.remedy}"
    return None


def _marked(text: str, mark: str) -> list[str]:
    return sorted(line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark))


@pytest.mark.parametrize("path", OK, ids=lambda p: p.stem)
def test_accepted_three_times(path: Path, record_property: Record) -> None:
    text = path.read_text(encoding="utf-8")
    three, four = (helm.render(text, helm=name) for name in helm.HELMS)
    assert _hook(path) is None
    key = str
    assert sorted(three, key=key) == sorted(four, key=key)
    record_property("alike", ("accepted", 0))


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_refused_three_times_in_pinned_words(path: Path, record_property: Record) -> None:
    text = path.read_text(encoding="utf-8")
    expected = _marked(text, "# helm: ")
    assert expected
    for name in helm.HELMS:
        run = helm.template(text, helm=name)
        assert (run.code, run.out) == (1, "")
        assert run.refusals() == expected
    assert [_hook(path)] == _marked(text, "# hook: ")
    record_property("alike", ("refused", len(expected)))


@pytest.mark.parametrize("name", helm.HELMS)
@pytest.mark.parametrize("case", ["auth-key-misspelt", "token-neither", "username-empty"])
def test_lint_refuses_too(name: str, case: str) -> None:
    run = helm.run(name, "lint", helm.CHART, "-f", HERE / "bad" / f"{case}.yaml")
    expected = _marked((HERE / "bad" / f"{case}.yaml").read_text(encoding="utf-8"), "# helm: ")
    assert run.code == 1
    assert all(line in run.out + run.err for line in expected)


def _one_letter_off(name: str) -> set[str]:
    """Return ``name`` with one letter deleted, doubled, or changed with the next."""
    places = [(name[:i], name[i], name[i + 1 :]) for i in range(len(name))]
    deleted = {before + after for before, _, after in places}
    doubled = {before + letter * 2 + after for before, letter, after in places}
    swapped = {before + after[0] + letter + after[1:] for before, letter, after in places if after}
    return deleted | doubled | swapped


MISSPELT = sorted((_one_letter_off(values.BLOCK) | _one_letter_off(values.ALIAS)) - {values.BLOCK, values.ALIAS})


@pytest.mark.parametrize("name", helm.HELMS)
def test_every_slip_of_one_letter_in_the_blocks_name_is_refused(name: str) -> None:
    assert len(MISSPELT) > 70
    block = {"auth": {"username": "alice"}}
    run = helm.template({"global": dict.fromkeys(MISSPELT, block)}, helm=name)
    said = "value must be 'under the key external-arg-cd'"
    assert set(run.refusals()) >= {f"at '/global/{misspelt}': {said}" for misspelt in MISSPELT}
    for misspelt in MISSPELT:
        with pytest.raises(ConfigurationError) as refused:
            settings.load_values(values.merge(values.chart_defaults(), {"global": {misspelt: block}}))
        assert refused.value.remedy == "Use external-arg-cd: put it under the key external-arg-cd."


def test_a_url_that_only_python_refuses_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"global\.external-arg-cd\.server\.url"):
        settings._server({"url": "https://[1]"}, "")


@pytest.mark.parametrize("name", helm.HELMS)
def test_set_of_a_number_like_password_hints_at_set_string(name: str) -> None:
    path = "global.external-arg-cd.auth.password"
    refused = helm.template(None, "--set", f"{path}=12345", helm=name)
    assert refused.code == 1
    assert "--set-string" in refused.err
    assert helm.template(None, "--set-string", f"{path}=12345", helm=name).code == 0


def test_every_case_says_what_it_proves() -> None:
    assert len(OK) + len(BAD) >= 80
    assert len(BAD) >= 40
    for path in OK + BAD:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), path
        assert first.endswith("."), path
