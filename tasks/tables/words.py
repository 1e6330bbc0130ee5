"""Words that may mean a missing value, such as NA: in columns of numbers they do, in columns of text it depends."""

import re
from collections.abc import Callable, Collection
from typing import Any

import pandas as pd

from hone.data import cells
from hone.data.remarks import Remark, remark
from hone.data.schema import describe

MISSING = ["", "NA", "N/A", "<NA>", "#N/A", "NaN", "nan", "null", "NULL"]
"""Words that mean a missing value unless `data.missing` says otherwise. "None" is a category of many a table."""
WORDS = frozenset(MISSING) - {""}
NOTED = WORDS | {"None", "none"}


def may_hold(column: "pd.Series[Any]") -> bool:
    """Return whether a column of text, in which the words are missing, may have had any of them."""
    return bool(column.isna().any() or column.isin(NOTED).any())


def spelled(text: str, delimiter: str) -> bool:
    """Return whether a field of a CSV seems to be one of the words."""
    words = "|".join(map(re.escape, sorted(NOTED)))
    return re.search(rf'[\n"{delimiter}](?:{words})(?=[\r\n"{delimiter}]|$)', text) is not None


def with_words(
    table: pd.DataFrame, raw: pd.DataFrame, missing: Collection[str], tell: Callable[[Remark], None]
) -> pd.DataFrame:
    """Return the table with words in columns of text as values, unless they mean a missing one.

    raw: its columns of text, in which only empty cells are missing. missing: those of `WORDS` that mean a missing
    value there. Columns of dates keep none. tell: called with which columns have such words, and how they were read.
    """
    kept: dict[str, pd.Series[Any]] = {}
    values, gaps, of_dates = _Noted(), _Noted(), _Noted()
    for name in map(str, raw.columns):
        column = raw[name]
        present = table[name].dropna()
        all_missing = bool(present.map(lambda cell: cells.ISO_DATE.fullmatch(cell.strip()) is not None).all())
        lost = frozenset(WORDS if all_missing else missing)
        words = column[column.isin(NOTED)].value_counts()
        for word, count in words.items():
            noted = values if word not in lost else of_dates if all_missing else gaps
            noted.add(name, str(word), int(count))
        if any(word in WORDS and word not in lost for word in words.index):
            kept[name] = column.where(~column.isin(lost))
    keep = "; data.missing: [] keeps such words as values" if set(missing) >= gaps.words else ""
    for noted, how in ((gaps, f"as missing{keep}"), (of_dates, "as missing"), (values, "as a value")):
        if noted.count:
            shown = ", ".join(map(repr, sorted(noted.words)))
            n_cells = f"{noted.count:,} cell{'s' * (noted.count > 1)}"
            message = f"{describe(noted.columns)}: {shown} ({n_cells}) {noted.are} read {how}"
            tell(remark("words", "info", noted.columns, message, noted.count))
    return table.assign(**kept) if kept else table


class _Noted:
    """Columns, words and how many cells hold them."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.words: set[str] = set()
        self.count = 0

    @property
    def are(self) -> str:
        """Return the verb for the words."""
        return "is" if len(self.words) == 1 else "are"

    def add(self, column: str, word: str, count: int) -> None:
        if column not in self.columns:
            self.columns.append(column)
        self.words.add(word)
        self.count += count
