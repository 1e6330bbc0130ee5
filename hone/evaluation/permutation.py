"""Which columns a model goes by: how much worse it predicts when a column's values are shuffled between rows.

Breiman, "Random forests", Machine Learning 45, 2001, section 10; scikit-learn calls it permutation importance.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells

Floats = NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class Shuffled:
    """What shuffling a column costs: mean and standard deviation of the objective's rise, in the metric's units."""

    column: str
    loss: float
    deviation: float


def permutation(
    predict: Callable[[pd.DataFrame], Floats],
    objective: Callable[[Floats], float],
    rows: pd.DataFrame,
    columns: Sequence[str],
    *,
    repeats: int,
    seed: int,
) -> list[Shuffled]:
    """Return what shuffling each column costs, the dearest first; nothing where the objective is undefined.

    predict: predictions of raw rows, [n] or [n, n_classes]. objective: of a prediction of `rows`; smaller is better.
    """
    n = len(rows)
    before = objective(predict(rows)) if n else math.nan
    if not math.isfinite(before):
        return []
    generator = np.random.default_rng(seed)
    block = pd.concat([rows] * repeats, ignore_index=True)
    found = []
    for column in columns:
        order = np.concatenate([generator.permutation(n) for _ in range(repeats)])
        shuffled = block.assign(**{column: rows[column].iloc[order].set_axis(block.index)})
        prediction = predict(shuffled)
        losses = [objective(prediction[start : start + n]) - before for start in range(0, n * repeats, n)]
        found.append(Shuffled(column, float(np.mean(losses)), float(np.std(losses))))
    return sorted(found, key=lambda one: -one.loss)


def telling(rows: pd.DataFrame, columns: Sequence[str], prediction: Floats, n: int) -> list[str]:
    """Return the `n` columns whose values tell most about a prediction of the rows, in their own order.

    Each is measured by the share of the prediction's variance between groups of its values, adjusted for their number.
    """
    if len(columns) <= n:
        return list(columns)
    values = prediction.reshape(len(rows), -1)
    shares = [_explained(_groups(rows[column]), values) for column in columns]
    chosen = np.argsort(-np.array(shares), kind="stable")[:n]
    return [columns[index] for index in sorted(chosen.tolist())]


def _groups(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return a group for each value: a tenth of the numbers, or a level."""
    if cells.is_number(column) and column.nunique() > BINS:
        ranks = column.rank(pct=True, na_option="top").to_numpy(dtype=float)
        return np.minimum(BINS - 1, np.floor(BINS * ranks)).astype(np.int64)
    codes, _ = pd.factorize(cells.texts(column))
    return np.asarray(codes, dtype=np.int64) + 1  # what is missing is -1


def _explained(groups: NDArray[np.int64], values: Floats) -> float:
    counts = np.bincount(groups)
    there = counts > 0
    sums = np.stack([np.bincount(groups, weights=column) for column in values.T], axis=1)[there]
    between = float(((sums / counts[there, None] - values.mean(axis=0)) ** 2 * counts[there, None]).sum())
    total = float(((values - values.mean(axis=0)) ** 2).sum())
    spare = len(values) - int(there.sum())
    if total == 0 or spare <= 0:
        return 0.0
    return 1 - (1 - between / total) * (len(values) - 1) / spare
