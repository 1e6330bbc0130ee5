"""Columns that name rows and do not describe them: ids and running numbers."""

import re
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells
from hone.data.audit.findings import Finding, drop, finding, named
from hone.data.schema import Schema

NAME = re.compile(
    r"(^|[_\-\s.])(id|uuid|guid|key|index|nr|no|number)$|^unnamed: \d+$|(?-i:[a-z](ID|Id))$", re.IGNORECASE
)
FEWEST_ROWS = 20
MOST_MISSING = 0.05
MOST_GAPS = 3  # times as many numbers as rows lie between the smallest and the largest of a running number


def ids(train: pd.DataFrame, schema: Schema, ignore: Collection[str] = ()) -> list[Finding]:
    """Return columns of whole numbers, or of text, that never repeat. ignore: columns that have a use all the same."""
    found: list[str] = []
    texts: list[str] = []
    for column in schema.columns:
        if column.kind == "dropped" and column.reason.startswith("text with"):
            texts.append(column.name)
        elif column.kind == "numeric" and column.name not in ignore:
            values = np.asarray(cells.numbers(train[column.name]), dtype=np.float64)
            if is_id(column.name, values):
                found.append(column.name)
    findings = []
    if found:
        verb = "numbers the rows, or is an id" if len(found) == 1 else "number the rows, or are ids"
        message = f"{named(found)} {verb}: whole numbers that never repeat. Set {drop(found)}"
        findings.append(finding("id", "warning", found, message, len(found)))
    if texts:
        verb = "was" if len(texts) == 1 else "were"
        message = f"{named(texts)} {verb} left out: nearly every row has a text of its own; data.kinds can keep it"
        findings.append(finding("id", "info", texts, message, len(texts)))
    return findings


def is_id(name: str, values: NDArray[np.float64]) -> bool:
    """Return whether whole numbers never repeat, and count up, fill their range, or have a name like an id's."""
    known = values[~np.isnan(values)]
    if len(known) < FEWEST_ROWS or len(known) < (1 - MOST_MISSING) * len(values):
        return False
    if (known != np.round(known)).any() or len(np.unique(known)) < len(known):
        return False
    # a running number: the values fill their range about as densely as training rows fill the table
    dense = float(known.max() - known.min()) < MOST_GAPS * len(known)
    return counts(known) or dense or NAME.search(name) is not None


def counts(values: NDArray[np.float64]) -> bool:
    """Return whether values rise from row to row, or fall."""
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())
