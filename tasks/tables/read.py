"""A table from whatever it is in: a file, a zip of one, or a folder of parts."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from pathlib import Path

import pandas as pd

from hone.data.remarks import Remark, remark
from hone.data.schema import describe
from hone.errors import UserError
from tasks import sources
from tasks.tables import columnar, delimited, records
from tasks.tables.parts import Part, parts_of
from tasks.tables.words import WORDS


def _ignore(remark: Remark) -> None:
    pass


def read_table(
    path: Path,
    shown: str | None = None,
    missing: Collection[str] = WORDS,
    tell: Callable[[Remark], None] = _ignore,
) -> pd.DataFrame:
    """Return a table from a file of one of `sources.ENDINGS`, or from a folder of parts.

    shown: what messages call the file. missing: those of `words.WORDS` that mean a missing value in columns of text.
    tell: called with what a person should know of how it was read. Raises UserError for a file that is missing,
    empty, of another kind or broken, with the line where there is one.
    """
    parts = parts_of(path, f"data.source: {shown or path}")
    if path.is_dir():
        name = shown or str(path)
        tell(remark("parts", "info", [], f"{name}: {len(parts)} files are read as one table", len(parts)))
    if parts[0].kind in sources.DELIMITED and not any(part.levels for part in parts):
        return delimited.read(parts, missing, tell)
    numbers = _whole_numbers(parts)
    frames = [_with_levels(_whole(part, missing, tell), part, numbers) for part in parts]
    return _joined(parts, frames)


def read_pieces(
    path: Path,
    rows: int,
    levels: Mapping[str, Set[str]] | None = None,
    tell: Callable[[Remark], None] = _ignore,
) -> Iterator[pd.DataFrame]:
    """Yield a table piece by piece, with so many rows in each but the last.

    Of delimited text and Parquet, no more than one piece is in memory; other kinds are read whole. A column that is
    text in any piece of delimited text is text in all of them, as it is in `read_table`: the file is read twice.
    levels: of columns, words that are values: those of `words.MISSING` among them do not mean a missing one.
    tell: called with what a person should know of how numbers were read. Errors are those of `read_table`; all of the
    text is checked before its first piece.
    """
    parts = parts_of(path, str(path))
    if len(parts) == 1:
        yield from _pieces(parts, rows, levels, tell)
    else:
        yield from _of_length(_pieces(parts, rows, levels, tell), rows)


def _pieces(
    parts: Sequence[Part], rows: int, levels: Mapping[str, Set[str]] | None, tell: Callable[[Remark], None]
) -> Iterator[pd.DataFrame]:
    """Yield the table in pieces of at most so many rows."""
    kind = parts[0].kind
    if kind in sources.DELIMITED and not any(part.levels for part in parts):
        yield from delimited.read_pieces(parts, rows, levels, tell)
        return
    numbers = _whole_numbers(parts)
    if kind == ".parquet":
        names: list[str] | None = None
        for part in parts:
            for piece in columnar.parquet_pieces(part, rows):
                frame = _with_levels(piece, part, numbers)
                names = _same(list(frame.columns), names, part, parts[0])
                yield frame[names]
        return
    words = WORDS - {word for known in (levels or {}).values() for word in known}
    frame = _joined(parts, [_with_levels(_whole(part, words, _ignore), part, numbers) for part in parts])
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows].reset_index(drop=True)


def _whole(part: Part, missing: Collection[str], tell: Callable[[Remark], None]) -> pd.DataFrame:
    if part.kind in sources.DELIMITED:
        return delimited.read([part], missing, tell)
    if part.kind in sources.JSON_LINES:
        return records.read_json_lines(part, missing, tell)
    if part.kind == ".xlsx":
        return records.read_workbook(part, missing, tell)
    return columnar.read_parquet(part) if part.kind == ".parquet" else columnar.read_arrow(part)


def _whole_numbers(parts: Sequence[Part]) -> frozenset[str]:
    """Return the columns that folders tell by whole numbers, all of them in the usual way: 1, and neither 01 nor x.

    The parts decide together: of month=01 to month=12, the last three alone would be numbers.
    """
    return frozenset(
        name
        for name in parts[0].levels
        if all(re.fullmatch(r"0|[1-9]\d{0,15}", part.levels.get(name, "")) for part in parts)
    )


def _with_levels(frame: pd.DataFrame, part: Part, numbers: Set[str]) -> pd.DataFrame:
    """Return the table with the columns that the names of folders tell. numbers: those of whole numbers."""
    taken = [name for name in part.levels if name in frame.columns]
    if taken:
        raise UserError(f"{part.shown}: {describe(taken)} is named by its folder and stands in it, too; rename one")
    return frame.assign(**{name: int(value) if name in numbers else value for name, value in part.levels.items()})


def _joined(parts: Sequence[Part], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the parts as one table, with the first part's columns; UserError if one has others."""
    names = list(frames[0].columns)
    for part, frame in zip(parts, frames, strict=True):
        _same(list(frame.columns), names, part, parts[0])
    return frames[0] if len(frames) == 1 else pd.concat([frame.loc[:, names] for frame in frames], ignore_index=True)


def _same(names: list[str], expected: list[str] | None, part: Part, first: Part) -> list[str]:
    """Return the names that all parts have, in the first part's order; UserError for a part with others."""
    if expected is not None and set(names) != set(expected):
        raise UserError(f"{part.shown} {delimited.differs(names, expected, first)}")
    return names if expected is None else expected


def _of_length(pieces: Iterator[pd.DataFrame], rows: int) -> Iterator[pd.DataFrame]:
    """Yield the same rows with so many in each piece but the last, as predictions are made of whole batches."""
    held: list[pd.DataFrame] = []
    for piece in pieces:
        held.append(piece)
        while sum(map(len, held)) >= rows:
            table = pd.concat(held, ignore_index=True)
            yield table.iloc[:rows].reset_index(drop=True)
            held = [table.iloc[rows:]] if len(table) > rows else []
    if held:
        yield pd.concat(held, ignore_index=True)
