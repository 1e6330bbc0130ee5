"""Numbers written with decimal commas, or with marks between thousands, recognised by whole columns.

A column is evidence: how many of its texts have which shape. A comma with exactly three digits behind it (1,234) may
be either mark; other texts of the column, other columns and the delimiter of the file decide.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from hone.data import cells

Mark = Literal["comma", "point"]
"""The decimal mark of a column that has commas in its numbers."""

# In this order: the first that fits is a text's shape.
SHAPES = {
    "whole": r"[+-]?(?:0|[1-9]\d*)(?:[eE][+-]?\d+)?",  # 12
    "either": r"[+-]?[1-9]\d{0,2},\d{3}",  # 1,234
    "point": r"[+-]?[1-9]\d{0,2}(?:,\d{3}){2,}|[+-]?[1-9]\d{0,2}(?:,\d{3})+\.\d+",  # 1,234,567 and 1,234.5
    "comma": r"[+-]?(?:(?:0|[1-9]\d*)?|[1-9]\d{0,2}(?:\.\d{3})+),\d+(?:[eE][+-]?\d+)?",  # 3,14 and 1.234,5
    "dots": r"[+-]?[1-9]\d{0,2}(?:\.\d{3}){2,}",  # 1.234.567
    "dot": r"[+-]?[1-9]\d{0,2}\.\d{3}",  # 1.234
    "decimal": r"[+-]?(?:(?:0|[1-9]\d*)?\.\d+|(?:0|[1-9]\d*)\.)(?:[eE][+-]?\d+)?",  # 3.14
}
_SHAPE = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in SHAPES.items()))
MOST_ODD_WORDS, MOST_ODD_SHARE = 3, 0.05
"""As in `hone.data.schema`: so many other words may stand in a column of numbers."""


SOME = 200


@dataclass
class Evidence:
    """Shapes of a column's texts. odd: other words; more than a few make it no column of numbers."""

    shapes: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, texts: "pd.Series[Any]") -> None:
        """Count a piece of the column: text, missing where there is none. Stops early where it is no numbers."""
        if len(self.odd) > MOST_ODD_WORDS:
            return
        some = pd.unique(texts.head(SOME))
        if sum(_SHAPE.fullmatch(str(text).strip()) is None for text in some) > MOST_ODD_WORDS + 1:  # one may be missing
            self.odd.update(map(str, some))
            return
        codes, levels = pd.factorize(texts)
        counts = pd.Series(codes).value_counts()
        for code, level in enumerate(levels):
            if len(self.odd) > MOST_ODD_WORDS:
                return
            text = str(level).strip()
            if not text:
                continue
            match = _SHAPE.fullmatch(text)
            if match is None or match.lastgroup is None:
                self.odd[text] += int(counts[code])
            else:
                self.shapes[match.lastgroup] += int(counts[code])
                self.examples.setdefault(match.lastgroup, text)

    @property
    def are_numbers(self) -> bool:
        """Return whether all but a few odd words are numbers, in one way of writing them or another."""
        return (
            len(self.odd) <= MOST_ODD_WORDS
            and self.odd.total() <= MOST_ODD_SHARE * (self.odd.total() + self.shapes.total())
            and self.shapes.total() > 0
        )

    @property
    def has_commas(self) -> bool:
        """Return whether any number in the column has a comma."""
        return any(self.shapes[shape] for shape in ("either", "point", "comma"))


@dataclass(frozen=True)
class Reading:
    """How a column is read. certain: whether nothing else can be meant. example: one of its texts.

    has_commas: else its numbers have points only, which are read as marks between thousands.
    """

    mark: Mark
    certain: bool
    example: str
    has_commas: bool = True


def readings(columns: Mapping[int, Evidence], delimiter: str) -> dict[int, Reading]:
    """Return how the columns are read whose numbers have commas, or points between thousands.

    columns: by their places. delimiter: a file whose fields are not separated by commas has them in its numbers.
    """
    numeric = {place: evidence for place, evidence in columns.items() if evidence.are_numbers}
    alone = {place: _alone(evidence.shapes) for place, evidence in numeric.items()}
    commas = any(mark == "comma" for mark in alone.values())
    points = any(mark == "point" for mark in alone.values())
    found: dict[int, Reading] = {}
    for place, evidence in numeric.items():
        shapes, mark = evidence.shapes, alone[place]
        certain = mark is not None and (mark == "point" or delimiter != ",")
        if mark is None and shapes["either"] and not (shapes["comma"] or shapes["point"]):
            mark = "comma" if commas > points else "point" if points > commas else _usual(delimiter)
            certain = commas != points
        elif mark is None and commas and not points and (shapes["dots"] or shapes["dot"]) and not shapes["decimal"]:
            mark, certain = "comma", bool(shapes["dots"])
        if mark is None or not (evidence.has_commas or mark == "comma"):
            continue
        shape = next(shape for shape in ("comma", "point", "either", "dots", "dot") if shapes[shape])
        found[place] = Reading(mark, certain, evidence.examples[shape], evidence.has_commas)
    return found


def mixed(columns: Mapping[int, Evidence]) -> dict[int, tuple[str, str]]:
    """Return columns whose numbers have decimal commas and decimal points, with a text of each; they stay text."""
    found = {}
    for place, evidence in columns.items():
        point = next((shape for shape in ("decimal", "point") if evidence.shapes[shape]), None)
        if evidence.are_numbers and evidence.shapes["comma"] and point is not None:
            found[place] = (evidence.examples["comma"], evidence.examples[point])
    return found


def _alone(shapes: Counter[str]) -> Mark | None:
    """Return the decimal mark that a column's own texts tell; None if they tell none, or both."""
    comma = shapes["comma"] > 0 or (shapes["dots"] > 0 and shapes["either"] > 0)
    point = shapes["point"] > 0 or shapes["decimal"] > 0
    return None if comma == point else "comma" if comma else "point"


def _usual(delimiter: str) -> Mark:
    return "point" if delimiter == "," else "comma"


def read(texts: "pd.Series[Any]", mark: Mark) -> "pd.Series[Any]":
    """Return the column as numbers; as text, with its numbers written as 1234.5, where an odd word stays."""
    codes, levels = pd.factorize(texts)
    plain = [plainly(str(level), mark) for level in levels]
    column = pd.Series([None if code < 0 else plain[code] for code in codes], index=texts.index, name=texts.name)
    numbers = cells.numbers(column)
    if (numbers.isna().to_numpy() & ~cells.missing(column)).any():
        return column
    if numbers.notna().all() and not any("." in text or "e" in text.lower() for text in plain):
        return numbers.astype("int64") if numbers.abs().max() < 2**53 else numbers
    return numbers


def plainly(text: str, mark: Mark) -> str:
    """Return a number as Python writes it: 1234.5 for 1.234,5 (comma) or 1,234.5 (point); other texts unchanged."""
    text = text.strip()
    match = _SHAPE.fullmatch(text)
    if match is None:
        return text
    if mark == "point":
        return text.replace(",", "")
    return text.replace(".", "").replace(",", ".")
