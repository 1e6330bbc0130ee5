"""A transform of skewed targets, in which a network learns; what it predicts is in the target's own units again."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import boxcox1p, inv_boxcox1p

from hone.trial import Config

Floats = NDArray[np.float64]
SKEWED = 1.0  # skewness from which a transform is worth a try
NAME = "target_transform"


@dataclass(frozen=True)
class YeoJohnson:
    """The power transform of Yeo and Johnson (2000), standardised.

    power: its lambda. mean, std: of the transformed training targets. low, high: the range of the training targets.
    """

    power: float
    mean: float
    std: float
    low: float
    high: float

    def forward(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Return transformed targets, those beyond the training targets' range as if at its end."""
        return ((_powered(self._within(y), self.power) - self.mean) / self.std).astype(np.float32)

    def inverse(self, z: Floats) -> Floats:
        """Return targets of transformed ones; none is beyond the training targets: a power would carry it far."""
        low, high = _powered(np.array([self.low, self.high]), self.power)
        # NaN stays NaN: a network that diverged is to be seen.
        powered = np.clip(z * self.std + self.mean, low, high)
        positive = inv_boxcox1p(np.maximum(powered, 0.0), self.power)
        return self._within(np.where(powered >= 0, positive, -inv_boxcox1p(np.maximum(-powered, 0.0), 2 - self.power)))

    def _within(self, y: NDArray[Any]) -> Floats:
        return np.clip(np.asarray(y, dtype=np.float64), self.low, self.high)

    def to_json(self) -> dict[str, float]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, float]) -> Self:
        """Return what `to_json` was called on."""
        return cls(**fields)


def skewed(y: NDArray[Any]) -> bool:
    """Return whether targets are so skewed that a transform is worth a try."""
    values = np.asarray(y, dtype=np.float64)
    return bool(len(values) > 2 and np.ptp(values) > 0 and abs(stats.skew(values)) > SKEWED)


def transform(config: Config, y: NDArray[Any]) -> YeoJohnson | None:
    """Return the transform that a config asks for, fitted to training targets [n], or None.

    Its power is the likeliest one, if transformed targets are to be normal.
    """
    if config.get(NAME, "none") == "none":
        return None
    values = np.asarray(y, dtype=np.float64)
    if not np.ptp(values) > 0:
        return None
    power = float(np.clip(stats.yeojohnson_normmax(values), -5.0, 5.0))
    powered = _powered(values, power)
    std = float(powered.std())
    return YeoJohnson(power, float(powered.mean()), std or 1.0, float(values.min()), float(values.max()))


def _powered(y: Floats, power: float) -> Floats:
    up, down = boxcox1p(np.maximum(y, 0.0), power), boxcox1p(np.maximum(-y, 0.0), 2 - power)
    return np.asarray(np.where(y >= 0, up, -down), dtype=np.float64)
