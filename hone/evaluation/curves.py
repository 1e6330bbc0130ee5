"""Curves and tables that show where a model is right, as data frames ready to be written and drawn."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

Floats = NDArray[np.float64]
MOST_POINTS = 400  # of one curve: more than a screen shows


def roc(positive: NDArray[np.bool_], scores: Floats) -> pd.DataFrame:
    """Return false_positive_rate and true_positive_rate, from (0, 0) to (1, 1).

    positive: [n], whether each row is of the class to find. scores: [n], larger for the class to find.
    An empty frame if one of the two classes is missing.
    """
    if positive.all() or not positive.any():
        return pd.DataFrame({"false_positive_rate": [], "true_positive_rate": []}, dtype=float)
    false_positives, true_positives, _ = roc_curve(positive, scores, drop_intermediate=True)
    return _thinned(pd.DataFrame({"false_positive_rate": false_positives, "true_positive_rate": true_positives}))


def precision_recall(positive: NDArray[np.bool_], scores: Floats) -> pd.DataFrame:
    """Return recall and precision, by rising recall; an empty frame if there is no positive row."""
    if not positive.any():
        return pd.DataFrame({"recall": [], "precision": []}, dtype=float)
    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    return _thinned(pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def calibration(happened: NDArray[np.bool_], probability: Floats, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed frequency and n_rows, for up to `bins` bins of about equally many rows.

    happened: [n], whether what was predicted came true. probability: [n], of it coming true, as predicted.
    """
    observed, predicted = calibration_curve(happened, probability, n_bins=bins, strategy="quantile")
    edges = np.percentile(probability, np.linspace(0, 100, bins + 1))  # as calibration_curve draws them
    counts = np.bincount(np.searchsorted(edges[1:-1], probability), minlength=bins)
    return pd.DataFrame({"predicted": predicted, "observed": observed, "n_rows": counts[counts > 0]})


def calibration_error(table: pd.DataFrame) -> float:
    """Return the expected calibration error of a `calibration` table: the mean distance, weighted by rows."""
    return float(np.average(np.abs(table["predicted"] - table["observed"]), weights=table["n_rows"]))


def weighted_calibration_errors(
    happened: NDArray[np.bool_], probability: Floats, resamples: Iterable[NDArray[np.int64]], bins: int = 10
) -> Floats:
    """Return the expected calibration error of each resample, in the bins that `calibration` makes of all rows.

    resamples: for each, how often every row occurs, [n]. With every row once it is that of `calibration_error`.
    """
    edges = np.percentile(probability, np.linspace(0, 100, bins + 1))
    place = np.searchsorted(edges[1:-1], probability)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    excess = (probability - happened)[order]
    return np.array(
        [np.abs(np.add.reduceat(counts[order] * excess, starts)).sum() / counts.sum() for counts in resamples]
    )


def confidence(codes: NDArray[np.int64], probabilities: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return, for more than two classes, whether the most probable class was right and the probability it had."""
    return np.argmax(probabilities, axis=1) == codes, np.max(probabilities, axis=1).astype(np.float64)


def residuals(target: Floats, values: Floats) -> pd.DataFrame:
    """Return actual, predicted and residual (actual minus predicted), a row per row."""
    return pd.DataFrame({"actual": target, "predicted": values, "residual": target - values})


def confusion(actual: NDArray[np.object_], predicted: NDArray[np.object_]) -> pd.DataFrame:
    """Return actual and predicted labels as text, a row per row: what DVC's confusion template counts."""
    return pd.DataFrame({"actual": [str(label) for label in actual], "predicted": [str(label) for label in predicted]})


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """Return at most MOST_POINTS rows, evenly chosen by position, both ends included."""
    if len(curve) <= MOST_POINTS:
        return curve
    return curve.iloc[np.linspace(0, len(curve) - 1, MOST_POINTS).astype(int)].reset_index(drop=True)
