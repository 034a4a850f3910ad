from typing import Any

import pytest

from gitops_runtime_auth.preflight import strvals
from tests.set_lines import BAD, GOOD


@pytest.mark.parametrize(("line", "expected"), GOOD.items())
def test_set_reads_lines_as_helm_does(line: str, expected: dict[str, Any]) -> None:
    values: dict[str, Any] = {}
    strvals.parse_into(line, values)
    assert values == expected


@pytest.mark.parametrize("line", BAD)
def test_what_helm_refuses_is_refused(line: str) -> None:
    with pytest.raises(strvals.SyntaxProblemError):
        strvals.parse_into(line, {})


def test_names_nest_no_deeper_than_helm_allows() -> None:
    strvals.parse_into(".".join("a" * 31) + "=x", {})
    with pytest.raises(strvals.SyntaxProblemError):
        strvals.parse_into(".".join("a" * 32) + "=x", {})


def test_set_string_keeps_text() -> None:
    values: dict[str, Any] = {}
    strvals.parse_into("a=1,b=true,c=null,d={1,2}", values, str)
    assert values == {"a": "1", "b": "true", "c": "null", "d": ["1", "2"]}


def test_lines_change_what_is_there() -> None:
    values: dict[str, Any] = {"a": {"b": 1, "c": 2}, "l": [{"x": 1}, {"y": 2}]}
    strvals.parse_into("a.b=3,l[1].y=4,l[0].z=5", values)
    assert values == {"a": {"b": 3, "c": 2}, "l": [{"x": 1, "z": 5}, {"y": 4}]}
