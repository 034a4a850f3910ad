"""What is told to people consists of sentences: in logs, in termination messages and in Events."""

import json
import re

_PREFIX = re.compile(r"(INFO|WARNING|ERROR): |What to do: ")
_SENTENCES = re.compile(
    r"""(["'(]?[A-Z0-9]|https?://|kubectl |hook\.).*([.):]|\b(argocd|kubectl|helm) .+)""", re.DOTALL
)
"""They begin with a capital, or with an address, a command, or a key of the values. A command may end some."""
_SHOUTED = re.compile(r"\b[A-Z]{2,} [A-Z]{2,}\b")


def require_sentences(text: str) -> None:
    """Assert that a text consists of whole sentences, of which none is shouted."""
    assert _SENTENCES.fullmatch(text), f"no sentence: {text!r}"
    assert not _SHOUTED.search(text), f"shouted: {text!r}"
    assert not re.search(r"\bNone\b|XX", text), f"something is missing: {text!r}"


def require_prose(log: str) -> None:
    """Assert that every message of a log, plain or JSON, consists of sentences; debugging apart."""
    for line in log.splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry["level"] != "debug":
                require_sentences(entry["message"])
        elif not line.startswith("DEBUG: ") and line:
            while found := _PREFIX.match(line):
                line = line[found.end() :]
            require_sentences(line)
