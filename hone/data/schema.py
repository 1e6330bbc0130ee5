"""What each column is, decided from training rows only, and how a table is read by it afterwards."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from hone.data import cells, images
from hone.errors import UserError

Kind = Literal["numeric", "categorical", "boolean", "date", "image", "dropped"]

# Text in which all but a few odd words ("?", "unknown") are numbers is a column of numbers.
MOST_ODD_WORDS = 3
MOST_ODD_SHARE = 0.05
# Tried in this order where data.kinds says that a column holds dates and they are not ISO 8601.
DAYS = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y-%m", "%m/%Y", "%Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
# Text with nearly as many levels as rows says nothing about rows not seen yet.
MOST_LEVELS_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the raw table.

    reason: why it is of this kind, in words. levels: categorical and boolean: the values in training rows, sorted.
    parts: date: the numbers taken from it. pattern: date in text: how to read it (strptime), None for ISO 8601.
    shape: image: channels, height and width that networks see.
    """

    name: str
    kind: Kind
    reason: str = ""
    levels: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    pattern: str | None = None
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a raw table, the target left out, in the table's order."""

    columns: tuple[Column, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Return the names of the raw columns that the network sees."""
        return tuple(column.name for column in self.columns if column.kind != "dropped")

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Return the names of the numbers that `apply` gives; a date's are ``name.days`` and so on."""
        return tuple(name for column in self.columns for name in _numeric_names(column))

    @property
    def categorical_names(self) -> tuple[str, ...]:
        """Return the names of the columns that `apply` gives as levels; booleans are among them."""
        return tuple(column.name for column in self.columns if column.kind in ("categorical", "boolean"))

    @property
    def image(self) -> Column | None:
        """Return the column of pictures, if there is one; it is then the only one."""
        return next((column for column in self.columns if column.kind == "image"), None)

    def check(self, frame: pd.DataFrame) -> None:
        """Raise UserError naming the columns that the network sees and the frame lacks."""
        lacking = [name for name in self.used if name not in frame.columns]
        if lacking:
            them = "it" if len(lacking) == 1 else "them"
            raise UserError(
                f"the table lacks {describe(lacking)}; the network was trained with {them}: "
                f"add {them}, empty if unknown"
            )

    def apply(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return (numeric, categorical): float64 with NaN where missing, and str with None where missing.

        Infinite and unreadable numbers count as missing; columns that the schema does not know are passed over, and
        so are pictures.
        Raises UserError naming the columns that the frame lacks.
        """
        self.check(frame)
        numeric: list[pd.Series[float]] = []
        categorical: dict[str, pd.Series[Any]] = {}
        for column in self.columns:
            if column.kind == "numeric":
                numeric.append(cells.numbers(frame[column.name]))
            elif column.kind == "date":
                parts = date_parts(cells.dates(frame[column.name], column.pattern))
                numeric += [parts[part] for part in column.parts]
            elif column.kind == "categorical":
                categorical[column.name] = cells.recognised(cells.texts(frame[column.name]), column.levels)
            elif column.kind == "boolean":
                categorical[column.name] = cells.booleans(frame[column.name])
        # By position: a column may be called like a part of a date.
        numbers = pd.DataFrame(dict(enumerate(numeric)), index=frame.index).set_axis(self.numeric_names, axis=1)
        return numbers, pd.DataFrame(categorical, index=frame.index)

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON values."""
        return {"columns": [_to_json(column) for column in self.columns]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the schema that `to_json` wrote."""
        lists = ("levels", "parts", "shape")
        return cls(
            tuple(
                Column(**(column | {name: tuple(column[name]) for name in lists if name in column}))
                for column in values["columns"]
            )
        )


def of_pictures(contents: Sequence[bytes], name: str, channels: str = "auto") -> Schema:
    """Return the schema of a table of pictures, from its training rows.

    contents: as `images.normalised` gives them, of one size. channels: grey, colour, or auto: grey if no training
    picture has any colour.
    """
    shape = images.shape(contents, channels)
    words = "colour" if shape[0] == 3 else "grey"
    reason = f"pictures, {words}, {shape[2]} × {shape[1]} pixels"
    return Schema((Column(name=name, kind="image", reason=reason, shape=shape),))


def infer(
    frame: pd.DataFrame,
    target: str,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    group: str | None = None,
) -> Schema:
    """Return the schema of a table, from its training rows.

    drop: columns that the network must not see. kinds: the kind of a column where the inferred one would be wrong.
    group: the column that rows are grouped by; dropped, since no later row will share its values.
    Raises UserError where `drop` or `kinds` name no column, a kind does not fit its column, or nothing is left.
    """
    kinds = kinds or {}
    for key, names in (("data.drop", drop), ("data.kinds", kinds)):
        for name in names:
            check_column(key, name, frame.columns)
            if name == target:
                raise UserError(f"{key}: {name!r} is the target (data.target); leave it out")
    columns = []
    for name in frame.columns:
        if name == target:
            continue
        if name in drop:
            columns.append(Column(name=name, kind="dropped", reason="listed in data.drop"))
        elif name == group:
            columns.append(Column(name=name, kind="dropped", reason="rows are grouped by it (split.group)"))
        else:
            columns.append(_column(frame[name], kinds.get(name)))
    schema = Schema(tuple(columns))
    if not schema.used:
        reasons = "; ".join(f"{column.name!r}: {column.reason}" for column in columns[:5])
        raise UserError(
            f"data.source: no column is left to learn from ({reasons or 'there is only the target'}); add one"
        )
    return schema


def check_column(key: str, name: str, columns: Iterable[str]) -> None:
    """Raise a UserError, naming the nearest column, if there is no column of this name."""
    names = [str(column) for column in columns]
    if name in names:
        return
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    hint = (
        f"did you mean {lower[near[0]]!r}?"
        if near
        else f"the columns are {', '.join(map(repr, names[:8]))}{' …' * (len(names) > 8)}"
    )
    if key == "data.drop":  # of a former table, perhaps
        hint += f" If not, remove it from {key}" if near else f"; remove it from {key} in params.yaml"
    raise UserError(f"{key}: there is no column {name!r}; {hint}")


def describe(names: Sequence[str], most: int = 5) -> str:
    """Return column names as a short phrase: ``column 'a'``, ``columns 'a', 'b' and 3 more``."""
    listed = ", ".join(repr(name) for name in names[:most])
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"column{'s' * (len(names) > 1)} {listed}{more}"


def date_parts(moments: "pd.Series[Any]") -> dict[str, "pd.Series[float]"]:
    """Return a date's days since 1970, year, month, weekday (Monday is 0) and hour; NaN where it is missing."""
    days = (moments - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    parts = {
        "days": days,
        "year": moments.dt.year,
        "month": moments.dt.month,
        "weekday": moments.dt.day_of_week,
        "hour": moments.dt.hour,
    }
    return {part: numbers.astype("float64") for part, numbers in parts.items()}


def _to_json(column: Column) -> dict[str, Any]:
    values = asdict(column) | {"levels": list(column.levels), "parts": list(column.parts)}
    shape = values.pop("shape")
    return values if shape is None else values | {"shape": list(shape)}


def _numeric_names(column: Column) -> tuple[str, ...]:
    if column.kind == "numeric":
        return (column.name,)
    return tuple(f"{column.name}.{part}" for part in column.parts)


def _column(series: "pd.Series[Any]", kind: str | None) -> Column:
    name = str(series.name)
    if cells.is_nested(series):
        return Column(name=name, kind="dropped", reason="its cells hold lists or bytes, not single values")
    distinct, n_present = _distinct(series)
    if not n_present:
        return Column(name=name, kind="dropped", reason="all values are missing")
    if len(distinct) == 1 and n_present == len(series):
        return Column(name=name, kind="dropped", reason=f"constant: every value is {cells.texts(distinct).iloc[0]!r}")
    if kind is not None:
        column = _as_told(name, kind, series, distinct)
    else:
        column = _as_found(name, series, distinct, n_present)
    if column.kind in ("numeric", "date") and not _varies(column, series):
        reason = "one value beside missing ones"
        return Column(name=name, kind="categorical", reason=reason, levels=_levels(cells.texts(distinct)))
    return column


def _distinct(series: "pd.Series[Any]") -> tuple["pd.Series[Any]", int]:
    """Return the values that differ as text, and how many cells have a value; numbers and dates are left as such.

    The text of a column of numbers takes ten times its memory.
    """
    values = series if cells.is_number(series) or cells.is_date(series) else cells.texts(series)
    present = values[~cells.missing(values)]
    return present.drop_duplicates(), len(present)


def _varies(column: Column, series: "pd.Series[Any]") -> bool:
    """Return whether anything but missingness is left of a numeric column or a date once it is read."""
    return bool(column.parts) if column.kind == "date" else cells.numbers(series).nunique() > 1


def _as_told(name: str, kind: str, series: "pd.Series[Any]", distinct: "pd.Series[Any]") -> Column:
    """Return the column of the kind that `data.kinds` asks for; UserError if its values do not fit."""
    told = "set in data.kinds"
    if kind == "categorical":
        return Column(name=name, kind="categorical", reason=told, levels=_levels(cells.texts(distinct)))
    if kind == "boolean":
        values = cells.booleans(series)
        _check_readable(name, kind, series, values)
        return Column(name=name, kind="boolean", reason=told, levels=_levels(values))
    if kind == "numeric":
        if cells.numbers(series).notna().sum() == 0:
            _check_readable(name, kind, series, cells.numbers(series))
        return Column(name=name, kind="numeric", reason=told)
    pattern = None if cells.is_date(series) else _pattern(_levels(cells.texts(distinct)))
    moments = cells.dates(series, pattern)
    _check_readable(name, kind, series, moments)
    return _date(name, f"{told}, read as {pattern}" if pattern else told, moments, pattern)


def _pattern(levels: Sequence[str]) -> str | None:
    """Return the first pattern that reads every level; None for ISO 8601, and if there is no such pattern."""
    text = pd.Series(levels, dtype=object)
    patterns = (day + time for time in TIMES for day in DAYS)
    return (
        None if _are_iso(levels) else next((each for each in patterns if cells.dates(text, each).notna().all()), None)
    )


def _check_readable(name: str, kind: str, series: "pd.Series[Any]", values: "pd.Series[Any]") -> None:
    bad = (cells.texts(series).notna() & values.isna()).to_numpy()
    if bad.any():
        value = series.iloc[int(bad.argmax())]
        raise UserError(
            f"data.kinds: column {name!r} is set to {kind}, but holds {value!r}; mend the value, or change the kind"
        )


def _as_found(name: str, series: "pd.Series[Any]", distinct: "pd.Series[Any]", n_present: int) -> Column:
    """Return the column of the kind that its type and values suggest."""
    if cells.is_date(series):
        return _date(name, "dates", cells.dates(series), None)
    if cells.is_number(series):
        return Column(name=name, kind="numeric", reason="numbers")
    levels = _levels(cells.texts(distinct))
    if {level.lower() for level in levels} <= {"true", "false"}:
        return Column(name=name, kind="boolean", reason="true or false", levels=_levels(cells.booleans(series)))
    if isinstance(series.dtype, pd.CategoricalDtype):
        return Column(name=name, kind="categorical", reason="a categorical type", levels=levels)
    if _are_iso(levels):
        return _date(name, "text of dates", cells.dates(series), None)
    odd = sorted(distinct[cells.numbers(distinct).isna().to_numpy()])
    n_odd = int(cells.texts(series).isin(odd).sum())
    coded = any(cells.LEADING_ZERO.match(level) for level in levels)
    if len(odd) <= MOST_ODD_WORDS and n_odd <= MOST_ODD_SHARE * n_present and n_odd < n_present and not coded:
        note = f"; {', '.join(repr(word) for word in odd)} read as missing" if odd else ""
        return Column(name=name, kind="numeric", reason=f"text of numbers{note}")
    if len(levels) > MOST_LEVELS_SHARE * n_present:
        return Column(
            name=name,
            kind="dropped",
            reason=f"text with {len(levels)} different values in {n_present} rows: an id, or prose",
        )
    return Column(name=name, kind="categorical", reason=f"text of {len(levels)} levels", levels=levels)


def _are_iso(levels: Sequence[str]) -> bool:
    return all(cells.ISO_DATE.fullmatch(level) for level in levels)


def _levels(values: "pd.Series[Any]") -> tuple[str, ...]:
    return tuple(sorted(values.dropna().unique()))


def _date(name: str, reason: str, moments: "pd.Series[Any]", pattern: str | None) -> Column:
    """Return a date column with those parts that differ among training rows."""
    parts = tuple(part for part, numbers in date_parts(moments).items() if np.unique(numbers.dropna()).size > 1)
    return Column(name=name, kind="date", reason=reason, parts=parts, pattern=pattern)
