"""The rows that a model got most wrong."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def of_classes(truth: Codes, probabilities: Floats, decided: Codes, most: int) -> list[int]:
    """Return the positions of rows whose class was predicted wrongly, the least probable actual class first.

    truth and decided: [n] class codes. probabilities: [n, n_classes]. most: how many to return.
    """
    given = probabilities[np.arange(len(truth)), truth]
    order = np.argsort(given, kind="stable")
    return [int(row) for row in order[decided[order] != truth[order]][:most]]


def of_values(truth: Floats, predicted: Floats, most: int) -> list[int]:
    """Return the positions of the rows with the largest errors, the largest first."""
    error = np.abs(truth - predicted)
    return [int(row) for row in np.argsort(-error, kind="stable")[:most] if error[row] > 0]
