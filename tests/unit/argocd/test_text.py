"""What a server sends reaches no terminal as a command."""

import pytest

from gitops_runtime_auth.argocd.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("v3.6.1+a", "v3.6.1+a"),
        ("a b-ü/日本", "a b-ü/日本"),
        ("\x1b[31mred\x1b]0;title\x07", "[31mred]0;title"),
        ("two\r\nlines\tand\x00more\x7f", "twolinesandmore"),
        ("\x9b31m", "31m"),  # the eight-bit escape
        ("\u202etxt.exe\u2066\u200b\u2028", "txt.exe"),
        ("\ud800", ""),
    ],
)
def test_only_what_can_be_printed_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_it_is_cut_at_its_longest() -> None:
    assert printable("x" * 201) == "x" * 200
    assert printable("\x1b" * 300 + "abcd", 3) == "abc"
