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
MOST_ROWS = 10_000  # about as many tell the power: every training fits it anew


@dataclass(frozen=True)
class YeoJohnson:
    """The power transform of Yeo and Johnson (2000) of targets about their centre, standardised.

    power: its lambda. center, scale: median of the training targets and median distance from it: a power acts on what
    is far from zero, compared with one. mean, std: of the transformed training targets. low, high: their range before.
    """

    power: float
    center: float
    scale: float
    mean: float
    std: float
    low: float
    high: float

    def forward(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Return transformed targets, those beyond the training targets' range as if at its end."""
        powered = _powered((self._within(y) - self.center) / self.scale, self.power)
        return ((powered - self.mean) / self.std).astype(np.float32)

    def inverse(self, z: Floats) -> Floats:
        """Return targets of transformed ones; none is beyond the training targets: a power would carry it far."""
        low, high = _powered((np.array([self.low, self.high]) - self.center) / self.scale, self.power)
        # NaN stays NaN: a network that diverged is to be seen.
        powered = np.clip(z * self.std + self.mean, low, high)
        positive = inv_boxcox1p(np.maximum(powered, 0.0), self.power)
        negative = -inv_boxcox1p(np.maximum(-powered, 0.0), 2 - self.power)
        return self._within(np.where(powered >= 0, positive, negative) * self.scale + self.center)

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

    Its power is the likeliest one, if transformed targets are to be normal, from 0 to 2: at 0 the upper tail is drawn
    in as by a logarithm, at 2 the lower one. Beyond that a tail ends at a bound, where small errors become huge ones.
    """
    if config.get(NAME, "none") == "none":
        return None
    values = np.asarray(y, dtype=np.float64)
    if not np.ptp(values) > 0:
        return None
    center = float(np.median(values))
    scale = float(np.median(np.abs(values - center))) or float(values.std())
    about = (values - center) / scale
    some = about[:: max(1, len(about) // MOST_ROWS)]
    power = float(np.clip(stats.yeojohnson_normmax(some if np.ptp(some) > 0 else about), 0.0, 2.0))
    powered = _powered(about, power)
    std = float(powered.std())
    low, high = float(values.min()), float(values.max())
    return YeoJohnson(power, center, scale, float(powered.mean()), std or 1.0, low, high)


def _powered(y: Floats, power: float) -> Floats:
    up, down = boxcox1p(np.maximum(y, 0.0), power), boxcox1p(np.maximum(-y, 0.0), 2 - power)
    return np.asarray(np.where(y >= 0, up, -down), dtype=np.float64)
