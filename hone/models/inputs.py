"""What a network is told about its inputs and outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from hone.data.preprocessing import Arrays
    from hone.data.problem import Problem

N_BINS = 16


@dataclass(frozen=True)
class InputSpec:
    """The shape of a network's inputs and outputs, as values that JSON can hold.

    n_num: numeric columns. cardinalities: codes of each categorical column, code 0 (missing, or unseen in the
    training rows) included. n_outputs: one logit a class (a binary problem has 2), or 1 for regression.
    bins: for each numeric column, rising edges of its quantile bins, at least two of them.
    """

    n_num: int
    cardinalities: tuple[int, ...]
    n_outputs: int
    bins: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `to_json` was called on."""
        bins = tuple(tuple(map(float, edges)) for edges in fields["bins"])
        return cls(int(fields["n_num"]), tuple(map(int, fields["cardinalities"])), int(fields["n_outputs"]), bins)


def inputs_of(arrays: "Arrays", problem: "Problem", cardinalities: Sequence[int]) -> InputSpec:
    """Return the spec of networks that are to learn from these training rows."""
    n_outputs = 1 if problem.classes is None else len(problem.classes)
    bins = tuple(_quantile_bins(column) for column in arrays.x_num.T)
    return InputSpec(arrays.x_num.shape[1], tuple(map(int, cardinalities)), n_outputs, bins)


def _quantile_bins(column: np.ndarray[Any, Any]) -> tuple[float, ...]:
    """Return at most ``N_BINS + 1`` rising edges (Gorishniy et al. 2022, section 3.2.1)."""
    quantiles = np.quantile(column.astype(np.float64), np.linspace(0, 1, N_BINS + 1)).astype(np.float32)
    edges = np.unique(quantiles)
    if len(edges) == 1:  # a constant column: any second edge will do
        edges = np.append(edges, edges + max(1.0, abs(float(edges[0]))))
    return tuple(float(edge) for edge in edges)
