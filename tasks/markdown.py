"""Text in Markdown pages of other tools: what a user's names hold is shown as it is, never as markup or HTML."""

import html
import re

from tasks.reporting import plain

SIGNS = re.compile(r"[\\`*_\[\]|#~]|(?<!\S)@")
"""What Markdown obeys; a word that begins with @ is made a link to a person."""
ADDRESS = re.compile(r"\S*(?:://|www\.|@)\S*", re.IGNORECASE)
"""A word that is made a link if it has a dot, and is none if the dot is escaped."""


def text(value: str) -> str:
    r"""Return a text, on one line, that Markdown and HTML show as it is.

    ``<`` and ``&`` become entities: some renderers do not know ``\<``, and pass HTML on.
    """
    escaped = SIGNS.sub(r"\\\g<0>", _line(value))
    return html.escape(ADDRESS.sub(lambda word: word[0].replace(".", r"\."), escaped), quote=False)


def code(value: str) -> str:
    """Return a text as code, on one line: between more backticks than it holds in a row."""
    shown = _line(value)
    pad = " " if shown[:1] == "`" or shown[-1:] == "`" else ""
    fence = "`" * (1 + most_backticks(shown))
    return f"{fence}{pad}{shown}{pad}{fence}"


def code_cell(value: str) -> str:
    r"""Return a text as code in a table, whose columns end at each ``|`` that is not escaped."""
    return code(value).replace("|", r"\|")


def block(value: str, language: str = "") -> str:
    """Return lines as a block of code."""
    fence = "`" * max(3, 1 + most_backticks(value))
    return f"{fence}{language}\n{value}\n{fence}"


def most_backticks(value: str) -> int:
    """Return the length of the longest row of backticks."""
    return max(map(len, re.findall("`+", value)), default=0)


def _line(value: str) -> str:
    return " ".join(plain(value).split("\n"))
