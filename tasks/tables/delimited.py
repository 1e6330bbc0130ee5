"""Tables from delimited text, whole or piece by piece, with errors that say which line to mend."""

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pandas as pd

from hone.data import cells, header, numerals
from hone.data.checks import check_names
from hone.data.numerals import Evidence, Reading
from hone.data.remarks import Remark, remark
from hone.data.schema import describe
from hone.errors import UserError
from tasks.tables import text as texts
from tasks.tables.parts import Part
from tasks.tables.words import MISSING, may_hold, spelled, with_words

DELIMITERS = ",;\t|"
SAMPLE = 100
"""Rows by which a header is told from a row."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a part as text, behind its header."""

    part: Part
    text: str
    delimiter: str


@dataclass
class Layout:
    """How a table's columns are read, by their places; the same in all pieces.

    text: those that hold text in any piece. fractions: those that pandas read as numbers, and that have a point in any
    piece, as far as that is known without a second look.
    """

    names: list[str] = field(default_factory=list)
    delimiter: str = ","
    text: set[int] = field(default_factory=set)
    fractions: set[int] = field(default_factory=set)
    evidence: dict[int, Evidence] = field(default_factory=dict)
    readings: dict[int, Reading] = field(default_factory=dict)
    mixed: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, piece: Piece, frame: pd.DataFrame) -> None:
        """Take in a piece of the table."""
        self.names, self.delimiter = [str(name) for name in frame.columns], piece.delimiter
        for place, (_, column) in enumerate(frame.items()):
            if is_text(column):
                self.text.add(place)
                self.evidence.setdefault(place, Evidence()).add(column)
            elif column.dtype.kind == "f" and (".000" in piece.text or bool((column % 1 > 0).any())):
                self.fractions.add(place)  # 50.000 has no fraction any more, and may be a number with thousands

    def decide(self, pieces: Iterator[Piece]) -> None:
        """Settle how numbers with commas are read. pieces: of the whole table; read only if there are such numbers."""
        if not any(each.are_numbers and (each.has_commas or each.shapes["dots"]) for each in self.evidence.values()):
            return
        if self.fractions:  # 1.234 may be a thousand there
            for piece in pieces:
                raw = _read_csv(piece, dtype=str, usecols=sorted(self.fractions))
                for place, (_, column) in zip(sorted(self.fractions), raw.items(), strict=True):
                    self.evidence.setdefault(place, Evidence()).add(column)
        self.readings = numerals.readings(self.evidence, self.delimiter)
        self.mixed = numerals.mixed(self.evidence)

    @property
    def as_text(self) -> frozenset[int]:
        """Return the columns that pandas must not take for numbers."""
        return frozenset(self.text | set(self.readings))

    def converted(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a piece whose numbers with commas are numbers. It must have been read with `as_text`."""
        if not self.readings:
            return frame
        columns = dict(enumerate(frame.items()))
        return pd.DataFrame(
            {
                name: numerals.read(column, self.readings[place].mark) if place in self.readings else column
                for place, (name, column) in columns.items()
            }
        )

    def remarks(self) -> Iterator[Remark]:
        """Yield what to say of numbers with commas: a line for each way of reading them."""
        groups: dict[tuple[str, bool, bool], list[int]] = {}
        for place, reading in self.readings.items():
            groups.setdefault((reading.mark, reading.certain, reading.has_commas), []).append(place)
        for (mark, certain, has_commas), places in groups.items():
            names = [self.names[place] for place in places]
            example = self.readings[places[0]].example
            value = numerals.plainly(example, self.readings[places[0]].mark)
            how = "decimal commas" if mark == "comma" else "commas between thousands"
            if not has_commas:
                how = "points between thousands"
            message = f"{describe(names)}: read with {how}, e.g. {example!r} as {value}"
            if not certain:
                message += "; if that is wrong, write numbers as 1234.5 in the file"
            yield remark("commas", "info" if certain else "warning", names, message, len(names))
        for place, (comma, point) in self.mixed.items():
            message = (
                f"column {self.names[place]!r} is read as text: numbers in it have a decimal comma ({comma!r}) or "
                f"a point ({point!r}); write all of them as 1234.5 in the file"
            )
            yield remark("commas", "warning", [self.names[place]], message, 1)


def read(parts: Sequence[Part], missing: Collection[str], tell: Callable[[Remark], None]) -> pd.DataFrame:
    """Return the whole table. missing: see `words.with_words`. tell: called with how columns were read."""
    pieces = list(_pieces(parts, math.inf))
    layout = Layout()
    frames = [parsed(piece) for piece in pieces]
    for piece, frame in zip(pieces, frames, strict=True):
        layout.add(piece, frame)
    layout.decide(iter(pieces))
    if layout.readings or (layout.text and len(pieces) > 1):
        frames = [layout.converted(parsed(piece, layout.as_text)) for piece in pieces]
    for found in layout.remarks():
        tell(found)
    table = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    columns = dict(enumerate(table.items()))
    places = [place for place in sorted(layout.text - set(layout.readings)) if may_hold(columns[place][1])]
    if not places or not any(spelled(piece.text, piece.delimiter) for piece in pieces):
        return table
    raw = [_read_csv(piece, dtype=str, usecols=places, na_values=[""]) for piece in pieces]
    return with_words(table, pd.concat(raw, ignore_index=True), missing, tell)


def read_pieces(
    parts: Sequence[Part], rows: int, levels: Mapping[str, Set[str]] | None, tell: Callable[[Remark], None]
) -> Iterator[pd.DataFrame]:
    """Yield the table with so many rows in each piece but a part's last. levels: see `tasks.tables.read_pieces`.

    tell: called with how numbers with commas are read, before the first piece.
    """
    layout = Layout()
    for piece in _pieces(parts, rows):
        layout.add(piece, parsed(piece, levels=levels))
    layout.decide(_pieces(parts, rows))
    for noted in layout.remarks():
        tell(noted)
    for piece in _pieces(parts, rows):
        yield layout.converted(parsed(piece, layout.as_text, levels))


def parsed(
    piece: Piece, as_text: frozenset[int] = frozenset(), levels: Mapping[str, Set[str]] | None = None
) -> pd.DataFrame:
    """Return a piece as a table. as_text: places of columns that are text elsewhere, whatever they look like here.

    levels: see `tasks.tables.read_pieces`.
    """
    na_values: Any = MISSING
    if values := {column: words for column, words in (levels or {}).items() if not words.isdisjoint(MISSING)}:
        columns = _read_csv(piece, nrows=0).columns
        na_values = {
            column: [word for word in MISSING if word not in values.get(str(column), ())] for column in columns
        }
    frame = _read_csv(piece, dtype=dict.fromkeys(as_text, str), na_values=na_values)
    numbers = [place for place, column in enumerate(frame.columns) if cells.is_number(frame[column])]
    if numbers and _may_hold_codes(piece.text, piece.delimiter):
        codes = _read_csv(piece, usecols=numbers, dtype=str, na_values=na_values)
        frame = frame.assign(**{column: codes[column] for column in codes.columns if _are_codes(codes[column])})
    frame.columns = frame.columns.map(str)
    return frame


def _read_csv(piece: Piece, na_values: Any = MISSING, **options: Any) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(
            io.StringIO(piece.text),
            sep=piece.delimiter,
            index_col=False,
            low_memory=False,
            keep_default_na=False,
            na_values=na_values,
            **options,
        )
    except (pd.errors.ParserError, ValueError) as error:
        message = " ".join(str(error).split())[:120]
        raise UserError(f"{piece.part.shown} is no readable CSV ({message}); mend it") from error
    return frame


def is_text(column: "pd.Series[Any]") -> bool:
    """Return whether a column has a cell of text; one of truth values and blanks is of objects as well."""
    if isinstance(column.dtype, pd.StringDtype):
        return bool(column.notna().any())
    return bool(column.map(lambda cell: isinstance(cell, str)).any()) if column.dtype.kind == "O" else False


def _may_hold_codes(text: str, delimiter: str) -> bool:
    """Return whether a field of a CSV seems to start like 007; if none does, its numbers need no second look."""
    before = rf'\r\n"{delimiter}'
    # Looking backwards from each zero takes an eighth of the time that looking forwards from each field does.
    after = rf"(?<=[{before}]0\d)|(?<=[{before} ] 0\d)|(?<=[{before} ][+-]0\d)"
    return re.search(rf"0\d(?:{after})", text) is not None


def _are_codes(column: "pd.Series[Any]") -> bool:
    """Return whether any value of a column read as text starts like 007: zip codes and ids are no numbers."""
    return bool(column.str.match(rf" *{cells.LEADING_ZERO.pattern}").any())


def _pieces(parts: Sequence[Part], rows: float) -> Iterator[Piece]:
    """Yield the parts' rows, so many at a time; UserError for a part with other columns than the first."""
    names: list[str] | None = None
    for part in parts:
        for piece, header_names in _pieces_of(part, rows):
            if names is not None and header_names != names:
                raise UserError(f"{part.shown} {differs(header_names, names, parts[0])}")
            names = header_names
            yield piece


def differs(names: Sequence[str], expected: Sequence[str], first: Part) -> str:
    """Return how a part's columns differ from those of the first part, and what to do."""
    other = first.path.rpartition("/")[2]
    lacking = [name for name in expected if name not in names]
    extra = [name for name in names if name not in expected]
    how = f"lacks {describe(lacking)} of" if lacking else f"has {describe(extra)}, unlike" if extra else ""
    remedy = "the parts of a table have the same columns: mend it, or name one file"
    return f"{how} {other}; {remedy}" if how else f"has its columns in another order than {other}; {remedy}"


def _pieces_of(part: Part, rows: float) -> Iterator[tuple[Piece, list[str]]]:
    """Yield so many rows of a file at a time, behind its header, with the header's names; the last has fewer.

    Raises UserError, once it gets there, for a line that has not as many fields as the header: pandas would fill up
    short lines without a word.
    """
    name = part.shown
    lines = texts.lines(part)
    n_blank = 0
    first = ""
    for first in lines:
        if first.strip():
            break
        n_blank += 1
    if not first.strip():
        raise UserError(f"{name} is empty; it needs a header and rows")
    delimiter = "\t" if part.kind == ".tsv" else _delimiter(re.split(r"[\r\n]", first.lstrip("\r\n"))[0])
    held: list[str] = []

    def kept() -> Iterator[str]:
        for line in chain([first], lines):
            held.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=delimiter, strict=True)
    names: list[str] = []
    sample: list[list[str]] = []
    top, n_rows = "", 0
    start = n_blank + 1
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                pass
            elif not names:
                names, top = fields, "".join(held)
                held.clear()
            elif len(fields) != len(names):
                raise UserError(
                    f"{name}, line {start} has {len(fields)} fields, but the header has {len(names)}; "
                    "mend the line (a value that contains the delimiter must stand in quotes)"
                )
            else:
                n_rows += 1
                if n_rows <= SAMPLE:
                    sample.append(fields)
                if n_rows == min(SAMPLE, rows):
                    _check_header(names, sample, part, delimiter)
                if n_rows % rows == 0:
                    yield Piece(part, top + "".join(held), delimiter), names
                    held.clear()
            start = n_blank + reader.line_num + 1
    except csv.Error as error:
        if "new-line character" in str(error):
            raise UserError(
                f"{name}, line {start} ends in \\r, as on old Macs; save it with \\n at its lines' ends"
            ) from None
        raise UserError(f"{name}, line {start} is broken ({error}); mend the quotes of that line") from error
    if n_rows < SAMPLE:
        _check_header(names, sample, part, delimiter)
    if n_rows == 0:
        raise UserError(f"{name} has a header only ({len(names)} columns, no rows); add rows")
    if n_rows % rows:
        yield Piece(part, top + "".join(held), delimiter), names


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))


def _check_header(names: Sequence[str], rows: Sequence[Sequence[str]], part: Part, delimiter: str) -> None:
    """Raise UserError for a table without a header, and for columns of the same name."""
    if header.is_row(names, rows):
        words = ", ".join(repr(name[:20]) for name in names[:4]) + (", …" if len(names) > 4 else "")
        mark = "\\t" if delimiter == "\t" else delimiter
        encoding = texts.encoding(part)
        rows_of_it = part.shell if encoding is None else f"{part.shell} | iconv -f {encoding.upper()} -t UTF-8"
        command = f"(echo c{{1..{len(names)}}} | tr ' ' '{mark}'; {rows_of_it}) > {part.copy('named')}"
        raise UserError(
            f"{part.shown} has no header: its first line ({words}) is a row like the others; add one, with names of "
            f"your own or by {part.advice(command)}"
        )
    check_names(names, part.shown)
