"""Makes text of a server safe to print."""


def printable(text: str, longest: int = 200) -> str:
    """Return ``text`` without characters that control a terminal, and at most ``longest`` characters of it.

    Left out are control characters (because escape sequences can change what a terminal shows), characters that
    reverse the direction of text or are invisible, and line breaks.
    """
    return "".join(character for character in text if character.isprintable())[:longest]
