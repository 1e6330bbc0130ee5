"""What a person should know about the target column: rows without a value, and one value that most rows have."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from hone.data import cells
from hone.data.problem import Problem
from hone.data.remarks import Remark, remark

MANY_MISSING = 0.05
"""Share of rows without a target from which their loss is a warning."""
MOSTLY_ONE = 0.9
"""Share of rows with the same target from which it is a warning."""


def of_target(target: "pd.Series[Any]", problem: Problem) -> list[Remark]:
    """Return what to say of rows without a target, and of one value that most rows have.

    target: the column of all rows of the raw table.
    """
    missing = cells.missing(target)
    found = [*_of_missing(problem.target, int(missing.sum()), len(target))]
    present = cells.texts(target[~missing]) if problem.classes is not None else cells.numbers(target[~missing])
    counts = present.value_counts()
    value, count = counts.index[0], int(counts.iloc[0])
    if count < MOSTLY_ONE * len(present):
        return found
    share = _percent(count, len(present))
    if problem.classes is None:
        shown = f"{value:g}"
        advice = (
            "predicting it always has a small error already; compare with data.metric: mae, or predict first "
            f"whether it is {shown}, with a column of its own as the target"
        )
    else:
        shown = repr(value)
        advice = (
            "accuracy says little then; data.metric: average_precision (two classes) or balanced_accuracy says "
            "more, and train.class_weight: balanced weighs the rare rows"
            if problem.metric == "accuracy" or len(problem.classes) == 2
            else f"{problem.metric} and the scores of each class say more than accuracy"
        )
    message = f"{share} of rows have {shown} in {problem.target!r}: {advice}"
    found.append(remark("one_value", "warning", [problem.target], message, count))
    return found


def _of_missing(name: str, count: int, n_rows: int) -> list[Remark]:
    if not count:
        return []
    has, is_ = ("has", "is") if count == 1 else ("have", "are")
    share = _percent(count, n_rows)
    message = f"{count:,} of {n_rows:,} rows {has} no value in {name!r} ({share}), and {is_} left out"
    severity: Literal["info", "warning"] = "warning" if count >= MANY_MISSING * n_rows else "info"
    if severity == "warning":
        message += "; if an empty cell means something, such as 0 or none, write that into it"
    return [remark("missing_target", severity, [name], message, count)]


def _percent(count: int, total: int) -> str:
    """Return a share in per cent that never reads as none or all of it."""
    share = 100 * count / total
    return "under 0.1 %" if share < 0.1 else f"{np.floor(share * 10) / 10:g} %"
