"""The tables that scikit-learn ships."""

import difflib
from collections.abc import Callable
from typing import Any

import pandas as pd

from hone.errors import UserError
from tasks.sources import SKLEARN

TARGET = "target"


def load_sklearn(source: str) -> tuple[pd.DataFrame, str]:
    """Return one of scikit-learn's sets, e.g. ``sklearn:digits``, with the name of its target column."""
    name = source.removeprefix(SKLEARN)
    if name not in _LOADERS:
        near = difflib.get_close_matches(name, _LOADERS, n=1)
        hint = (
            f"did you mean {SKLEARN}{near[0]}?" if near else f"use {', '.join(SKLEARN + known for known in _LOADERS)}"
        )
        raise UserError(f"data.source: there is no {source!r}; {hint}")
    return _LOADERS[name](), TARGET


def _digits() -> pd.DataFrame:
    from sklearn import datasets  # takes as long to import as all else here

    frame: pd.DataFrame = datasets.load_digits(as_frame=True).frame
    return frame.astype("int64")


def _diabetes() -> pd.DataFrame:
    from sklearn import datasets

    frame: pd.DataFrame = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return frame


def _with_class_names(name: str) -> pd.DataFrame:
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame
    return frame.assign(target=bunch.target.map(dict(enumerate(map(str, bunch.target_names)))))


_LOADERS: dict[str, Callable[[], pd.DataFrame]] = {
    "digits": _digits,
    "breast_cancer": lambda: _with_class_names("breast_cancer"),
    "wine": lambda: _with_class_names("wine"),
    "diabetes": _diabetes,
}
