"""Helm's ``--set`` grammar (``a.b[0].c=v,d={x,y}``): a port of Helm's ``pkg/strvals/parser.go``, oddities included.

No library on the Python index speaks it. ``tests/unit/test_strvals.py`` compares it with a real helm.
"""

import re
from collections.abc import Callable
from typing import Any

MAX_INDEX = 65536
MAX_DEPTH = 30

_INTEGER = re.compile(r"[+-]?[0-9]+")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "0": 0}

Reader = Callable[[str], Any]
"""Turns the text after ``=`` into the value."""


class SyntaxProblemError(ValueError):
    """The text is not what Helm accepts; the message says why."""


def typed(text: str) -> Any:
    """Return the value of ``--set``: true, false, null and integers are what they look like, all else is text."""
    word = text.casefold()
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(text) and text[0] != "0" and -(2**63) <= int(text) < 2**63:
        return int(text)
    return text


def parse_into(line: str, values: dict[str, Any], reader: Reader = typed) -> None:
    """Set what ``line`` says in ``values``. ``reader`` is ``typed`` for --set, ``str`` for --set-string.

    Raises SyntaxProblemError, and whatever ``reader`` raises.
    """
    parser = _Parser(line, reader)
    while not parser.key(values, 0):
        pass


class _Parser:
    """One pass over the text. The methods return whether the text has ended, as Go's return ``io.EOF``."""

    def __init__(self, text: str, reader: Reader) -> None:
        self._text = text
        self._at = 0
        self._reader = reader

    def _next(self) -> str:
        """Return the next character, empty at the end."""
        char = self._text[self._at : self._at + 1]
        self._at += 1
        return char

    def _until(self, stops: str) -> tuple[str, str]:
        """Return the text before the next of ``stops`` (a backslash escapes one character) and which it was."""
        taken = ""
        while char := self._next():
            if char in stops:
                return taken, char
            if char == "\\" and not (char := self._next()):
                break
            taken += char
        return taken, ""

    def key(self, data: dict[str, Any], depth: int) -> bool:
        name, last = self._until("=[,.")
        match last:
            case "" if name:
                raise SyntaxProblemError(f"key {name!r} has no value")
            case "":
                return True
            case "[":
                index = self._index()
                items = data.get(name, [])
                if not isinstance(items, list):
                    raise SyntaxProblemError(f"key {name!r} is not a list")
                items, ended = self._item(items, index, depth)
                _set(data, name, items)
                return ended
            case "=":
                value, ended = self._value()
                _set(data, name, value)
                return ended
            case ",":
                raise SyntaxProblemError(f"key {name!r} has no value (cannot end with ,)")
        if depth + 1 > MAX_DEPTH:
            raise SyntaxProblemError(f"more than {MAX_DEPTH} levels of names")
        inner = data.get(name, {})
        if not isinstance(inner, dict):
            raise SyntaxProblemError(f"key {name!r} is not a map")
        ended = self.key(inner, depth + 1)
        if inner:
            _set(data, name, inner)
        elif not ended:
            raise SyntaxProblemError(f"key map {name!r} has no value")
        return ended

    def _index(self) -> int:
        digits, last = self._until("]")
        if not last or not _INTEGER.fullmatch(digits):
            raise SyntaxProblemError(f"{digits!r} is not a list index")
        if not 0 <= int(digits) <= MAX_INDEX:
            raise SyntaxProblemError(f"list index {digits} is not between 0 and {MAX_INDEX}")
        return int(digits)

    def _item(self, items: list[Any], index: int, depth: int) -> tuple[list[Any], bool]:
        extra, last = self._until("[.=")
        if extra:
            raise SyntaxProblemError(f"unexpected data at end of array index: {extra!r}")
        present = items[index] if index < len(items) else None
        match last:
            case "=":
                value, ended = self._value()
                return _at(items, index, value), ended
            case "[":
                if present is not None and not isinstance(present, list):
                    raise SyntaxProblemError(f"list item {index} is not a list")
                inner_items, ended = self._item(present or [], self._index(), depth)
                return (items if ended else _at(items, index, inner_items)), ended
            case ".":
                inner = present if isinstance(present, dict) else {}
                ended = self.key(inner, depth)
                # As in Helm, "a[0].b=" at the end sets nothing in an item that is new.
                return (items if ended and index >= len(items) else _at(items, index, inner)), ended
        return items, True

    def _value(self) -> tuple[Any, bool]:
        first = self._text[self._at : self._at + 1]
        if not first:
            return "", True
        if first != "{":
            return self._reader(self._until(",")[0]), False
        self._at += 1
        found: list[Any] = []
        while True:
            text, last = self._until(",}")
            if not last:
                raise SyntaxProblemError("list must terminate with '}'")
            found.append(self._reader(text))
            if last == "}":
                if self._text[self._at : self._at + 1] == ",":
                    self._at += 1
                return found, False


def _set(data: dict[str, Any], name: str, value: Any) -> None:
    if name:
        data[name] = value


def _at(items: list[Any], index: int, value: Any) -> list[Any]:
    longer = items + [None] * (index + 1 - len(items))
    longer[index] = value
    return longer
