"""Lines of a text file: its encoding is recognised, and what is no text is named with its line."""

import codecs
import io
from collections.abc import Iterator
from itertools import chain
from typing import IO

from hone.errors import UserError
from tasks import sources
from tasks.tables.parts import Part

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; the first that fits, as UTF-32's starts like UTF-16's."""
LOOKED_AT = 4096
MOSTLY = 0.7
"""Share of every other byte that is zero in UTF-16 of Western languages."""
NOT_IN_1252 = b"\x81\x8d\x8f\x90\x9d"
CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")
MOST_CONTROLS = 0.01
"""Share of control characters among the first bytes, from which on a file is no text in any encoding."""
MAGIC = (
    (b"PAR1", "a Parquet file", ".parquet"),
    (b"ARROW1", "an Arrow file", ".arrow"),
    (b"PK\x03\x04", "a zip", ".zip"),
    (b"\x1f\x8b", "packed by gzip", ".gz"),
    (b"BZh", "packed by bzip2", ".bz2"),
    (b"\xfd7zXZ\0", "packed by xz", ".xz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", ".zst"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old Excel, perhaps", ".xls"),
    (b"SQLite format 3\0", "an SQLite database", ".sqlite"),
)
"""How other kinds of files start, what they are called, and the ending by which they are known."""


def lines(part: Part) -> Iterator[str]:
    """Yield a file's lines with their ends; UserError if it does not unpack, or is no text of a known encoding.

    UTF-8 with or without a mark is read, and UTF-16 and UTF-32 with a mark; UTF-16 also where its zeros tell.
    """
    with part.unpacked() as file:
        head = file.read(LOOKED_AT)
        other = _encoding(head)
        if other is None:
            _check_is_text(part, head)
            yield from _of_utf8(part, head, file)
    if other is not None:
        yield from _decoded(part, other)


def _of_utf8(part: Part, head: bytes, file: IO[bytes]) -> Iterator[str]:
    for number, line in enumerate(_lines(head, file), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(_not_utf8(part, error.object[error.start], number)) from error


def encoding(part: Part) -> str | None:
    """Return the encoding of a file that is text, but not UTF-8; None for UTF-8 and what is unknown."""
    with part.unpacked() as file:
        return _encoding(file.read(LOOKED_AT))


def _encoding(head: bytes) -> str | None:
    """Return the encoding of a text that is not UTF-8, by its first bytes; None for UTF-8 and what is unknown."""
    marked = next((encoding for mark, encoding in MARKS if head.startswith(mark)), None)
    if marked is not None:
        return None if marked == "utf-8-sig" else marked
    even, odd = head[::2], head[1::2]
    if len(head) >= 8 and odd.count(0) >= MOSTLY * len(odd) and even.count(0) == 0:
        return "utf-16-le"
    if len(head) >= 8 and even.count(0) >= MOSTLY * len(even) and odd.count(0) == 0:
        return "utf-16-be"
    return None


def _check_is_text(part: Part, head: bytes) -> None:
    """Raise UserError for a file that starts as another kind of file does, or has control characters all over."""
    if sum(byte in CONTROLS for byte in head) <= MOST_CONTROLS * len(head):
        return  # no packed file has so few
    what, ending = next(((what, ending) for magic, what, ending in MAGIC if head.startswith(magic)), ("", ""))
    if ending == ".zip" and any(name in head for name in (b"[Content_Types].xml", b"xl/", b"docProps/")):
        what, ending = "an Excel workbook", ".xlsx"
    if what:
        new = f"{part.kind}{ending}" if ending in sources.COMPRESSED else ending
        then = "" if sources.ending(new) else ": Hone then says how to convert it"
        raise UserError(
            f"{part.shown} does not look like text: it seems to be {what}. If so, rename it to end in {new}{then}"
        )
    raise UserError(
        f"{part.shown} does not look like text (UTF-8, or UTF-16 with a byte order mark); "
        f"the kinds of files that are read are {sources.READ}"
    )


def _decoded(part: Part, encoding: str) -> Iterator[str]:
    with part.unpacked() as file, io.TextIOWrapper(file, encoding, newline="\n") as text:
        try:
            yield from text
        except UnicodeDecodeError as error:
            raise UserError(
                f"{part.shown} starts as {encoding.upper()[:6]}, and is broken later ({error.reason}); save it as UTF-8"
            ) from error


def _lines(head: bytes, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file of which the head has been read."""
    first = io.BytesIO(head + file.readline()) if head and not head.endswith(b"\n") else io.BytesIO(head)
    return chain(first, file)


def _not_utf8(part: Part, byte: int, number: int) -> str:
    encoding = "LATIN1" if byte in NOT_IN_1252 else "WINDOWS-1252"
    convert, plain = f"iconv -f {encoding} -t UTF-8", part.shell.removeprefix("cat ")
    source = f"{convert} {plain}" if plain != part.shell else f"{part.shell} | {convert}"
    command = f"{source} > {part.copy('utf8')}"
    return (
        f"{part.shown} is not UTF-8: byte 0x{byte:02x} in line {number}; if it was written in Western Europe or "
        f"America: {part.advice(command)}"
    )
