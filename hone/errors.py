"""The one exception that is meant for the person who runs Hone."""

LONGEST = 600
"""Characters of a line in it: what a message quotes may be any cell, name or file."""


class UserError(ValueError):
    """Input that a person can mend: one or two lines naming what, where, the value and the remedy.

    The command line prints the message without a traceback and exits with code 2. Whatever is quoted in it, a
    terminal can show: other characters are escaped, and long lines are cut in the middle.
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(shortened(printable(line), LONGEST) for line in message.split("\n")))


def printable(text: str) -> str:
    r"""Return a text with what a terminal cannot show, or would obey, as escapes such as ``\x1b``; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, cut in the middle: the remedy is at a message's end."""
    if len(text) <= most:
        return text
    head = (most - 3) * 2 // 3
    return f"{text[:head]} … {text[len(text) - (most - 3 - head) :]}"
