import io
from pathlib import Path

import pytest

from gitops_runtime_auth.errors import ConfigurationError
from gitops_runtime_auth.preflight.overrides import combine


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "values.yaml"
    path.write_text("a: {x: 1, z: 2}\nb: [1, 2]\n", encoding="utf-8")
    return str(path)


def test_later_files_win_and_maps_merge(file: str, tmp_path: Path) -> None:
    second = tmp_path / "second.yaml"
    second.write_text("a: {z: 3, w: 4}\nb: [5]\n", encoding="utf-8")
    assert combine([file, str(second)]) == {"a": {"x": 1, "z": 3, "w": 4}, "b": [5]}


def test_set_wins_over_files_set_string_over_set_and_set_file_over_all(file: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s, t\n", encoding="utf-8")
    found = combine([file], ["a.x=5,a.z=6,a.w=7"], ["a.z=8,a.w=9"], [f"a.w={secret}"])
    assert found["a"] == {"x": 5, "z": "8", "w": "s, t\n"}


def test_null_survives_to_delete_a_default_of_the_chart(file: str) -> None:
    assert combine([file], ["a.x=null"])["a"] == {"x": None, "z": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [("y", True), ("off", False), ("1e3", 1000.0), ("017", 15), ("0x1F", 31), ("1_000", 1000), ("08", 8.0)]
    + [(t, t) for t in ("2024-01-01", "1:30", "1.2.3", "tRue", "=", "0x", "1,000")]
    + [('"1"', "1"), ("~", None), ("+5", 5), (".5", 0.5)],
)
def test_scalars_are_what_helm_takes_them_for(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "v.yaml"
    path.write_text(f"k: {text}\n", encoding="utf-8")
    found = combine([str(path)])["k"]
    assert (type(found), found) == (type(value), value)


def test_keys_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "v.yaml"
    path.write_text("y: 1\n5: 2\n", encoding="utf-8")
    assert combine([str(path)]) == {"true": 1, "5": 2}


def test_a_file_can_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a: 1\n"))
    assert combine(["-"]) == {"a": 1}


def test_a_file_with_comments_only_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "v.yaml"
    path.write_text("# nothing\n", encoding="utf-8")
    assert combine([str(path)]) == {}


@pytest.mark.parametrize(
    "content", [b"a: [", b"- 1\n", b"\xff\xfe\x00", b"just text", rb'a: "\ud800"', rb'"\udcff": 1']
)
def test_a_file_that_is_no_values_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"bad\.yaml"):
        combine([str(path)])


def test_an_absent_file_is_named() -> None:
    with pytest.raises(ConfigurationError, match="absent"):
        combine(["absent"])


def test_a_password_with_a_comma_stays_out_of_the_message() -> None:
    with pytest.raises(ConfigurationError) as raised:
        combine(sets=["global.external-arg-cd.auth.password=se,cret"])
    assert "global.external-arg-cd.auth.password" in raised.value.problem
    assert "cret" not in raised.value.problem + raised.value.remedy.replace("secret", "")


@pytest.mark.parametrize("flag", [1, 2, 3])
def test_a_flag_in_another_encoding_is_named(flag: int) -> None:
    given: list[list[str]] = [[], [], [], []]
    given[flag] = ["a=\udcff"]
    with pytest.raises(ConfigurationError, match="UTF-8"):
        combine(*given)
