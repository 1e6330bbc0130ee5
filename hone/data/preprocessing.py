"""From raw rows to arrays: fitted on training rows, made of scikit-learn's own classes, stored without pickle."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer, RobustScaler, StandardScaler

from hone.data import images
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.rows import Marks
from hone.data.schema import Schema, check_column

Scaling = Literal["standard", "quantile", "robust"]

# A scaled value beyond this helps nobody, and its square would soon overflow float32.
LARGEST_SCALED = 1e6
PIECE = 100_000


@dataclass(frozen=True)
class Arrays:
    """Rows ready for a network.

    x_num: float32 [n, d], no NaN; of pictures, uint8 [n, channels, height, width]. x_cat: int64 [n, c]; 0 is a level
    that is missing or was not seen in training.
    y: [n]; int64 class codes, or float32 standardised values; [0] where the target was not asked for.
    """

    x_num: NDArray[np.float32] | NDArray[np.uint8]
    x_cat: NDArray[np.int64]
    y: NDArray[np.int64] | NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x_num)

    def take(self, rows: NDArray[np.int64]) -> "Arrays":
        """Return the arrays of some rows, by position."""
        return Arrays(self.x_num[rows], self.x_cat[rows], self.y[rows] if len(self.y) else self.y)


@dataclass(frozen=True)
class Preprocessor:
    """A fitted preprocessor.

    estimators: "numeric" (numbers, then an indicator for each column with missing values) and "categorical", where
    there are such columns; scikit-learn's classes only. cardinalities: codes of each categorical column, 0 included.
    target_mean, target_std: of the training target for regression; 0 and 1 otherwise.
    """

    schema: Schema
    problem: Problem
    estimators: Mapping[str, BaseEstimator]
    cardinalities: tuple[int, ...]
    target_mean: float
    target_std: float

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """Return a name for each column of x_num; a missing-value indicator's is ``name?``."""
        names = self.schema.numeric_names
        if "numeric" not in self.estimators:
            return ()
        indicator = dict(self.estimators["numeric"].transformer_list)["missing"]
        return (*names, *(f"{names[index]}?" for index in indicator.features_))

    def transform(self, frame: pd.DataFrame) -> Arrays:
        """Return the arrays of raw rows, y encoded.

        Raises UserError if a column or the target is missing, or the target cannot be encoded.
        """
        x_num, x_cat = self._features(frame)
        check_column("data.target", self.problem.target, frame.columns)
        y = problems.encode(self.problem, frame[self.problem.target])
        if self.problem.task == "regression":
            return Arrays(x_num, x_cat, ((y - self.target_mean) / self.target_std).astype(np.float32))
        return Arrays(x_num, x_cat, y.astype(np.int64))

    def features(self, frame: pd.DataFrame) -> Arrays:
        """Return the arrays of raw rows with an empty y; a target column, if any, is not looked at."""
        return Arrays(*self._features(frame), np.empty(0, dtype=np.float32))

    def fingerprints(self, frame: pd.DataFrame) -> NDArray[np.uint64]:
        """Return a number for each raw row, [n] (see `hone.data.rows`); UserError as `rows.Marks.of`."""
        return marks(self.schema, self.problem).of(frame)

    def _features(self, frame: pd.DataFrame) -> tuple[NDArray[np.float32] | NDArray[np.uint8], NDArray[np.int64]]:
        n = len(frame)
        if (image := self.schema.image) is not None and image.shape is not None:
            self.schema.check(frame)
            return images.stack(frame[image.name], image.shape), np.empty((n, 0), dtype=np.int64)
        x_num = np.empty((n, len(self.numeric_names)), dtype=np.float32)
        x_cat = np.empty((n, len(self.cardinalities)), dtype=np.int64)
        for start in range(0, max(n, 1), PIECE):  # scikit-learn's float64 copies of a large table would be many
            numeric, categorical = self.schema.apply(frame.iloc[start : start + PIECE])
            piece = slice(start, start + len(numeric))
            if n and "numeric" in self.estimators:
                scaled = self.estimators["numeric"].transform(numeric.to_numpy(dtype=np.float64))
                x_num[piece] = np.clip(scaled, -LARGEST_SCALED, LARGEST_SCALED)
            if n and "categorical" in self.estimators:
                codes = self.estimators["categorical"].transform(categorical.to_numpy(dtype=object)) + 1
                # scikit-learn gives missing levels a code of their own where the fitted rows had nothing else
                codes[categorical.isna().to_numpy()] = 0
                x_cat[piece] = codes
        return x_num, x_cat

    def to_json(self) -> dict[str, Any]:
        """Return everything but the estimators as JSON values."""
        return {
            "schema": self.schema.to_json(),
            "problem": self.problem.to_json(),
            "cardinalities": list(self.cardinalities),
            "target_mean": self.target_mean,
            "target_std": self.target_std,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], estimators: Mapping[str, BaseEstimator]) -> Self:
        """Return the preprocessor that `to_json` wrote, with its estimators."""
        return cls(
            schema=Schema.from_json(values["schema"]),
            problem=Problem.from_json(values["problem"]),
            estimators=dict(estimators),
            cardinalities=tuple(values["cardinalities"]),
            target_mean=values["target_mean"],
            target_std=values["target_std"],
        )


def fit(frame: pd.DataFrame, schema: Schema, problem: Problem, scaling: Scaling = "standard") -> Preprocessor:
    """Return a preprocessor fitted on raw training rows, target included.

    Numbers: missing ones become the median, then they are scaled; each column with missing values adds an indicator.
    Categories and booleans: a code a level, from 1. Pictures: nothing is fitted, a network's first layer scales them.
    Raises UserError as `Schema.apply` and `problem.encode` do.
    """
    numeric, categorical = schema.apply(frame)
    estimators: dict[str, BaseEstimator] = {}
    cardinalities: tuple[int, ...] = ()
    if numeric.shape[1]:
        numbers = Pipeline([("impute", _imputer()), ("scale", _scaler(scaling, len(frame)))])
        missing = MissingIndicator(features="missing-only", error_on_new=False)
        union = FeatureUnion([("numbers", numbers), ("missing", missing)])
        estimators["numeric"] = union.fit(numeric.to_numpy(dtype=np.float64))
    if categorical.shape[1]:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
        estimators["categorical"] = encoder.fit(categorical.to_numpy(dtype=object))
        cardinalities = tuple(1 + sum(level is not None for level in levels) for levels in encoder.categories_)
    mean, std = 0.0, 1.0
    if problem.task == "regression":
        y = problems.encode(problem, frame[problem.target])
        mean, std = float(y.mean()), float(y.std()) or 1.0
    return Preprocessor(schema, problem, estimators, cardinalities, mean, std)


def marks(schema: Schema, problem: Problem) -> Marks:
    """Return what a model knows rows by: the columns of the table that it was fitted to, pictures as it sees them.

    What is dropped counts, too: an id may be all that tells rows apart.
    """
    names = sorted([*(column.name for column in schema.columns), problem.target])
    image = schema.image
    return Marks(tuple(names)) if image is None else Marks(tuple(names), image.name, image.shape)


def _imputer() -> SimpleImputer:
    # a column may be all missing in a part of the training rows (a fold); its place must stay
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _scaler(scaling: Scaling, n_rows: int) -> BaseEstimator:
    if scaling == "standard":
        return StandardScaler()
    if scaling == "robust":
        return RobustScaler()
    return QuantileTransformer(
        n_quantiles=min(1000, n_rows), output_distribution="normal", subsample=None, random_state=0
    )
