"""How different two parts of a table are, column by column, and how different chance makes parts of such sizes.

Numbers: the Kolmogorov–Smirnov statistic, the largest difference of the two distribution functions. Levels: the total
variation distance, half the sum of the differences of the shares. Both are 0 for equal parts and 1 for parts that have
nothing in common. What is missing counts as a value of its own.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FALSE_ALARM = 0.05
"""How often parts that differ by chance only show a column beyond the limit, of all their columns."""
MOST_DRAWS = 10_000
FEWEST = 5
"""Of a level, in both parts together; rarer ones count as one level."""


@dataclass(frozen=True)
class Shift:
    """How different a column is, and the largest difference that chance explains."""

    column: str
    distance: float
    chance: float


def shifts(one: pd.DataFrame, other: pd.DataFrame, *, seed: int) -> list[Shift]:
    """Return how different each column is between two parts, in the columns' order.

    Columns of numbers hold float64 with NaN where missing, others text with None where missing. The limits hold for
    rows that are drawn independently, all columns together (Bonferroni).
    """
    level = FALSE_ALARM / max(1, one.shape[1])
    generator = np.random.default_rng(seed)
    found = []
    for index, name in enumerate(one.columns):  # by position: a column may be called like a part of a date
        a, b = one.iloc[:, index], other.iloc[:, index]
        if pd.api.types.is_numeric_dtype(a):
            found.append(
                Shift(str(name), _largest_gap(_numbers(a), _numbers(b)), _chance_of_gap(len(a), len(b), level))
            )
        else:
            counts = _counts(a, b)
            found.append(Shift(str(name), _variation(counts[0], counts[1]), _chance(counts, level, generator)))
    return found


def _numbers(column: "pd.Series[float]") -> NDArray[np.float64]:
    values = column.to_numpy(dtype=np.float64)
    return np.sort(np.where(np.isnan(values), -np.inf, values))


def _largest_gap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    values = np.concatenate([a, b])
    shares = [np.searchsorted(part, values, side="right") / len(part) for part in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def _chance_of_gap(n: int, m: int, level: float) -> float:
    """Return the statistic that chance exceeds with probability `level`, for large parts (Smirnov 1948)."""
    return min(1.0, math.sqrt(-math.log(level / 2) / 2 * (n + m) / (n * m)))


def _counts(a: "pd.Series[str]", b: "pd.Series[str]") -> NDArray[np.int64]:
    """Return [2, n_levels], how often each level is in each part."""
    texts = pd.concat([a, b], ignore_index=True)
    codes, levels = pd.factorize(texts, use_na_sentinel=False)
    part = np.repeat([0, 1], [len(a), len(b)])
    counts = np.zeros((2, len(levels)), dtype=np.int64)
    np.add.at(counts, (part, codes), 1)
    rare = counts.sum(axis=0) < FEWEST
    return np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts


def _variation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def _chance(counts: NDArray[np.int64], level: float, generator: np.random.Generator) -> float:
    """Return the distance that chance exceeds with probability `level`: rows are dealt to the parts anew."""
    n_draws = int(min(MOST_DRAWS, math.ceil(20 / level)))
    sizes, together = counts.sum(axis=1), counts.sum(axis=0)
    dealt = generator.multivariate_hypergeometric(together, int(sizes[0]), size=n_draws, method="marginals")
    gaps = np.abs(dealt / sizes[0] - (together - dealt) / sizes[1]).sum(axis=1) / 2
    return float(np.quantile(gaps, 1 - level))
