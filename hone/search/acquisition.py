"""Acquisition: how much a config may be hoped to improve on the incumbent."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

FAR = -5.0  # standard deviations from the incumbent beyond which the plain formula loses its digits


def log_expected_improvement(mean: Array, variance: Array, incumbent: float) -> Array:
    """Return log E[max(incumbent - f, 0)] for f ~ N(mean, variance), each [m]; the objective is minimised.

    With z = (incumbent - mean) / sigma, the expectation is sigma (phi(z) + z Phi(z)) (Jones et al., 1998, equation 15).
    Far below the incumbent phi(z) + z Phi(z) = phi(z) (1 - |z| Mills(|z|)) with Mills' ratio by erfcx keeps its digits
    (Ament et al., Unexpected Improvements to Expected Improvement, 2023, section 4); very far, it tends to phi / z^2.
    """
    sigma = np.sqrt(variance)
    z = (incumbent - mean) / sigma
    near = np.maximum(z, FAR)
    plain = np.log(np.exp(-0.5 * near * near) / math.sqrt(2 * math.pi) + near * ndtr(near))
    away = np.maximum(-z, -FAR)
    tail = 1 - away * math.sqrt(math.pi / 2) * erfcx(away / math.sqrt(2))
    # 1 - x Mills(x) = 1/x^2 - 3/x^4 + ...: beyond 1e4 its difference from 1 is rounding only.
    tail = np.where(away < 1e4, np.maximum(tail, 1e-300), 1 / (away * away))
    far = -0.5 * away * away - 0.5 * math.log(2 * math.pi) + np.log(tail)
    return np.asarray(np.where(z > FAR, plain, far) + np.log(sigma), dtype=np.float64)
