"""What a network is told about its inputs and outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hone.data.preprocessing import Arrays
    from hone.data.problem import Problem

N_BINS = 16


@dataclass(frozen=True)
class Picture:
    """What pictures look like. shape: channels, height, width. mean, std: of each channel's training pixels, 0..255."""

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class InputSpec:
    """The shape of a network's inputs and outputs, as values that JSON can hold.

    n_num: numeric columns. cardinalities: codes of each categorical column, code 0 (missing, or unseen in the
    training rows) included. n_outputs: one logit a class (a binary problem has 2), or 1 for regression.
    bins: for each numeric column, rising edges of its quantile bins, at least two of them.
    picture: of rows that are pictures, which have no other columns; None for a table.
    quartiles: of each numeric column, the median in their middle; none in models of before they were kept.
    """

    n_num: int
    cardinalities: tuple[int, ...]
    n_outputs: int
    bins: tuple[tuple[float, ...], ...]
    picture: Picture | None = None
    quartiles: tuple[tuple[float, float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; a table's say nothing of pictures."""
        values = asdict(self)
        if self.picture is None:
            del values["picture"]
        if not self.quartiles:
            del values["quartiles"]
        return values

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `to_json` was called on."""
        bins = tuple(tuple(map(float, edges)) for edges in fields["bins"])
        picture = None
        if (found := fields.get("picture")) is not None:
            channels, height, width = map(int, found["shape"])
            picture = Picture(
                (channels, height, width), tuple(map(float, found["mean"])), tuple(map(float, found["std"]))
            )
        cardinalities = tuple(map(int, fields["cardinalities"]))
        quartiles = tuple((float(low), float(mid), float(high)) for low, mid, high in fields.get("quartiles", ()))
        return cls(int(fields["n_num"]), cardinalities, int(fields["n_outputs"]), bins, picture, quartiles)


def inputs_of(arrays: "Arrays", problem: "Problem", cardinalities: Sequence[int]) -> InputSpec:
    """Return the spec of networks that are to learn from these training rows."""
    n_outputs = 1 if problem.classes is None else len(problem.classes)
    if arrays.x_num.ndim == 4:
        return InputSpec(0, (), n_outputs, (), _picture(arrays.x_num))
    quantiles = [_quantiles(column) for column in arrays.x_num.T]
    low, middle, high = (N_BINS * quarter // 4 for quarter in (1, 2, 3))
    quartiles = tuple((float(each[low]), float(each[middle]), float(each[high])) for each in quantiles)
    return InputSpec(
        arrays.x_num.shape[1],
        tuple(map(int, cardinalities)),
        n_outputs,
        tuple(map(_edges, quantiles)),
        quartiles=quartiles,
    )


def _quantiles(column: np.ndarray[Any, Any]) -> NDArray[np.float32]:
    """Return ``N_BINS + 1`` quantiles, from the least value to the greatest."""
    quantiles = np.quantile(column.astype(np.float64), np.linspace(0, 1, N_BINS + 1))
    return np.asarray(quantiles, dtype=np.float32)


def _edges(quantiles: NDArray[np.float32]) -> tuple[float, ...]:
    """Return at most ``N_BINS + 1`` rising edges (Gorishniy et al. 2022, section 3.2.1)."""
    edges = np.unique(quantiles)
    if len(edges) == 1:  # a constant column: any second edge will do
        edges = np.append(edges, edges + max(1.0, abs(float(edges[0]))))
    return tuple(float(edge) for edge in edges)


def _picture(pixels: NDArray[Any]) -> Picture:
    """Return the shape of pictures, uint8 [n, c, h, w], and each channel's mean and deviation.

    Both from counts of the 256 values: exact, whatever the order of the pictures, and without a copy as floats.
    """
    values, counts = np.arange(256), np.zeros((pixels.shape[1], 256), dtype=np.int64)
    for picture in pixels:
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in picture]
    total = counts.sum(axis=1)
    mean = (counts @ values) / total
    std = np.sqrt(np.maximum((counts @ values**2) / total - mean**2, 0.0))
    channels, height, width = map(int, pixels.shape[1:])
    # A channel that never varies is left at zero.
    return Picture((channels, height, width), tuple(mean.tolist()), tuple(np.maximum(std, 1.0).tolist()))
