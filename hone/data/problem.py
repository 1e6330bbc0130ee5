"""What is predicted: the task, the target and its classes, inferred from the target column."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import cells
from hone.errors import UserError

Task = Literal["binary", "multiclass", "regression"]
Label = str | int | float | bool

# Whole numbers with more distinct values than this are taken for quantities, not for classes.
MOST_NUMBERED_CLASSES = 20


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task on one target column.

    classes: labels in order of their codes; None for regression. positive_index: the code of the class to
    find; None unless binary.
    """

    task: Task
    target: str
    metric: str
    classes: tuple[Label, ...] | None = None
    positive_index: int | None = None

    @property
    def n_classes(self) -> int:
        """Return the number of classes; 0 for regression."""
        return len(self.classes or ())

    @property
    def positive(self) -> Label | None:
        """Return the label of the class to find; None unless binary."""
        return None if self.classes is None or self.positive_index is None else self.classes[self.positive_index]

    def to_json(self) -> dict[str, Any]:
        """Return the problem as JSON values."""
        return asdict(self) | {"classes": None if self.classes is None else list(self.classes)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the problem that `to_json` wrote."""
        classes = values["classes"]
        return cls(**(values | {"classes": None if classes is None else tuple(classes)}))


def infer(
    target: "pd.Series[Any]", *, task: str = "auto", metric: str = "auto", positive: Label | None = None
) -> Problem:
    """Return the problem that a target column poses; rows without a target are passed over.

    Text, booleans, two distinct values, and whole numbers of few distinct values are classes; other numbers are
    quantities. Raises UserError for a target that cannot be predicted, and for a task, metric or positive class
    that does not fit it.
    """
    name = str(target.name)
    present = ~cells.missing(target)
    if not present.any():
        raise UserError(f"data.target: every value of column {name!r} is missing; choose another column")
    found = target[present]
    if cells.is_date(found) or cells.is_nested(found):
        raise UserError(
            f"data.target: column {name!r} holds {'dates' if cells.is_date(found) else 'lists'}; "
            "a target is a number or a class"
        )
    labels = _labels(found)
    distinct = sorted(set(labels), key=lambda label: (str(label) if isinstance(label, str) else "", label))
    if len(distinct) == 1:
        raise UserError(
            f"data.target: column {name!r} is constant, all {len(found)} rows are {distinct[0]!r}; "
            "choose another column"
        )
    chosen = _task(distinct, len(found)) if task == "auto" else cast(Task, task)
    if chosen == "binary" and len(distinct) != 2:
        raise UserError(
            f"data.task: binary, but column {name!r} has {len(distinct)} classes; set multiclass, or change data.target"
        )
    if metric == "auto":
        metric = metrics.default_metric(chosen)
    metrics.check(metric, chosen)
    if positive is not None and chosen != "binary":
        raise UserError(
            f"data.positive: {positive!r} is set, but the task is {chosen}; remove it (it is for binary tasks)"
        )
    if chosen == "regression":
        _check_numbers(found)
        return Problem(task=chosen, target=name, metric=metric)
    index = _positive_index(distinct, labels, positive, name) if chosen == "binary" else None
    return Problem(task=chosen, target=name, metric=metric, classes=tuple(distinct), positive_index=index)


def encode(problem: Problem, series: "pd.Series[Any]") -> NDArray[np.int64] | NDArray[np.float64]:
    """Return [n] class codes as int64, or [n] values as float64.

    Raises UserError for a missing value, an unknown class or a text where a number is due.
    """
    missing = cells.missing(series)
    if missing.any():
        raise UserError(
            f"column {problem.target!r}: the target of row {int(missing.argmax()) + 1} is missing; remove it"
        )
    if problem.classes is None:
        _check_numbers(series)
        return np.asarray(cells.numbers(series), dtype=np.float64)
    codes = {_key(label): code for code, label in enumerate(problem.classes)}
    if all(isinstance(label, int | float) and not isinstance(label, bool) for label in problem.classes):
        keys = cells.texts(cells.numbers(series))
    else:
        keys = cells.texts(series)
        if isinstance(problem.classes[0], bool):
            keys = cells.booleans(keys)
    found = keys.map(codes)
    if found.isna().any():
        row = int(found.isna().to_numpy().argmax())
        raise UserError(
            f"column {problem.target!r}: row {row + 1} is {series.iloc[row]!r}, which is none of the "
            f"{problem.n_classes} classes known from the training table; remove the row or train again"
        )
    return np.asarray(found, dtype=np.int64)


def _key(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _labels(found: "pd.Series[Any]") -> list[Label]:
    """Return a label for each value: bool, int, float or stripped text."""
    found = cells.plain(found)
    text = cells.texts(found)
    if text.str.lower().isin(["true", "false"]).all():
        return [entry.lower() == "true" for entry in text]
    if cells.is_number(found) or not _unreadable(text).any():
        values = cells.numbers(found)
        return [int(value) if value.is_integer() else value for value in values.tolist()]
    return list(text)


def _unreadable(text: "pd.Series[Any]") -> NDArray[np.bool_]:
    return cells.numbers(text).isna().to_numpy() | text.str.match(cells.LEADING_ZERO).to_numpy(dtype=bool)


def _task(distinct: list[Label], n_rows: int) -> Task:
    if len(distinct) == 2:
        return "binary"
    if isinstance(distinct[0], str):
        return "multiclass"
    whole = all(isinstance(label, int) for label in distinct)
    return "multiclass" if whole and len(distinct) <= min(MOST_NUMBERED_CLASSES, n_rows // 2) else "regression"


def _positive_index(distinct: list[Label], labels: list[Label], positive: Label | None, name: str) -> int:
    if positive is None:
        counts = [labels.count(label) for label in distinct]
        return 0 if counts[0] < counts[1] else 1
    for index, label in enumerate(distinct):
        if _key(label) == _key(positive).strip():
            return index
    raise UserError(
        f"data.positive: {positive!r} is no class of column {name!r}; use {distinct[0]!r} or {distinct[1]!r}"
    )


def _check_numbers(series: "pd.Series[Any]") -> None:
    bad = cells.numbers(series).isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"data.target: column {str(series.name)!r} is to be predicted as a number, but row "
            f"{_row(series, row)} is {series.iloc[row]!r}; mend it, or set data.task to multiclass"
        )


def _row(series: "pd.Series[Any]", position: int) -> int:
    """Return the 1-based row in the table that was read, which a kept index still tells."""
    label = series.index[position]
    return int(label) + 1 if isinstance(label, int | np.integer) else position + 1
