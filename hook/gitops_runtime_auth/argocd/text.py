"""Text that a server sent, made safe to print."""


def printable(text: str, longest: int = 200) -> str:
    """Return ``text`` without the characters that a terminal would obey, and no longer than ``longest`` characters.

    Left out are control characters (escape sequences can rewrite what a terminal shows), characters that turn the
    direction of text or that take no room, and line breaks.
    """
    return "".join(character for character in text if character.isprintable())[:longest]
