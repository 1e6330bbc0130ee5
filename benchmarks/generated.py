"""Generated tables, for benchmarks that train on small ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn import datasets

N_ROWS = 1200


def frame(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Return rows as a table with the column `target`."""
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(target=y)


def _classes(**options: float) -> pd.DataFrame:
    return frame(*datasets.make_classification(n_samples=N_ROWS, random_state=0, **options))


def _moons() -> pd.DataFrame:
    x, y = datasets.make_moons(n_samples=N_ROWS, noise=0.25, random_state=0)
    return frame(np.column_stack([x, np.random.default_rng(0).standard_normal((len(x), 6))]), y)


def _binned() -> pd.DataFrame:
    """Return classes that depend on categories: each of seven columns is cut into six unordered parts."""
    table = _classes(n_features=10, n_informative=6, n_classes=3, n_clusters_per_class=2, flip_y=0.05)
    for name in [column for column in table.columns if column != "target"][:7]:
        table[name] = pd.qcut(table[name], 6, labels=list("fbdaec")).astype(str)
    return table


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "wide": lambda: _classes(n_features=30, n_informative=8, n_redundant=4, class_sep=0.8, flip_y=0.1),
    "clusters": lambda: _classes(n_features=12, n_informative=8, n_classes=5, n_clusters_per_class=3, flip_y=0.01),
    "moons": _moons,
    "binned": _binned,
    "linear": lambda: frame(
        *datasets.make_regression(n_samples=N_ROWS, n_features=25, n_informative=8, noise=20.0, random_state=0)
    ),
    "friedman1": lambda: frame(*datasets.make_friedman1(n_samples=N_ROWS, noise=1.0, random_state=0)),
}
