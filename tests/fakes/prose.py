"""What is told to people consists of sentences: in logs, in termination messages and in Events."""

import json
import re

_PREFIX = re.compile(r"(INFO|WARNING|ERROR): |What to do: ")
_SENTENCES = re.compile(
    r"""(["'(]?[A-Z0-9]|https?://|kubectl |hook\.).*([.):]|\b(argocd|kubectl|helm) .+)""", re.DOTALL
)
"""They begin with a capital, or with an address, a command, or a key of the values. A command may end some."""
_SHOUTED = re.compile(r"\b[A-Z]{2,} [A-Z]{2,}\b")
_GLUED = re.compile(r"\b[A-Z]{2,}[a-z]{2}|[a-z](?!CD\b)[A-Z]{2}")
"""Two parts of a message that were put together without a space between them: ``APIkey``."""
_NOTHING = re.compile(r"\bNone\b")
_MISSPELT = re.compile(r"\b(argo cd|api keys?|kubernetes api)\b")


def require_sentences(text: str) -> None:
    """Assert that a text consists of whole sentences, of which none is shouted."""
    assert _SENTENCES.fullmatch(text), f"no sentence: {text!r}"
    require_words(text)


def require_words(text: str) -> None:
    """Assert that a text for people has no words that are shouted, glued together, misspelt, or ``None``."""
    for found in (_SHOUTED, _GLUED, _MISSPELT, _NOTHING):
        assert not (odd := found.search(text)), f"{odd[0]!r} in {text!r}"


def require_prose(log: str) -> None:
    """Assert that every message of a log, plain or JSON, consists of sentences; for debugging it must only be there."""
    for line in log.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            (_require_something if entry["level"] == "debug" else require_sentences)(entry["message"])
        elif line.startswith("DEBUG: "):
            _require_something(line)
        elif line:
            while found := _PREFIX.match(line):
                line = line[found.end() :]
            require_sentences(line)


def _require_something(text: str) -> None:
    assert not _NOTHING.search(text), f"something is missing: {text!r}"
