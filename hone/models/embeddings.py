"""What comes before a network's first layer: numeric columns embedded or as they are, categories as vectors.

Numeric embeddings follow Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
"""

import math
import warnings

import torch
from rtdl_num_embeddings import PeriodicEmbeddings, PiecewiseLinearEmbeddings
from torch import Tensor, nn

from hone.models.inputs import InputSpec
from hone.trial import Config

# Sizes below the paper's (24 to 48): a CPU feels them in every step, and tables here are small to middling.
EMBEDDING_SIZE = 8
N_FREQUENCIES = 16
ONE_HOT_UP_TO = 12  # codes; a column with more gets a learned embedding


class Features(nn.Module):
    """Turns ``x_num [b, n_num]`` and ``x_cat [b, n_cat]`` into one float matrix ``[b, width]``.

    widths: how many of its columns come from each column of the table; they add up to width.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        self.numeric = _numeric(inputs, config)
        self.categories = Categories(inputs)
        size = 1 if isinstance(self.numeric, nn.Identity) else EMBEDDING_SIZE
        self.widths = (*[size] * inputs.n_num, *self.categories.widths)
        self.width = sum(self.widths)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return ``[b, width]``."""
        numeric: Tensor = self.numeric(x_num).flatten(1)
        return torch.cat([numeric, self.categories(x_cat)], 1) if self.categories.width else numeric


class Categories(nn.Module):
    """Turns codes ``[b, n_cat]`` into ``[b, width]``: one-hot vectors of columns with few, embeddings of the others.

    A category's code 0 (missing or unseen) starts as the zero vector, so that a network meets something neutral
    where training rows had no such value. widths: of each column that has any, one-hot ones first.
    """

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__()
        small = [i for i, size in enumerate(inputs.cardinalities) if size <= ONE_HOT_UP_TO]
        self.large = [i for i, size in enumerate(inputs.cardinalities) if size > ONE_HOT_UP_TO]
        self.one_hot = _OneHot(small, inputs.cardinalities) if small else None
        self.embeddings = nn.ModuleList(_embedding(inputs.cardinalities[i]) for i in self.large)
        coded = [inputs.cardinalities[i] - 1 for i in small if inputs.cardinalities[i] > 1]
        self.widths = (*coded, *(_size(inputs.cardinalities[i]) for i in self.large))
        self.width = sum(self.widths)

    def forward(self, x_cat: Tensor) -> Tensor:
        """Return ``[b, width]``."""
        parts = [] if self.one_hot is None else [self.one_hot(x_cat)]
        parts += [embedding(x_cat[:, i]) for i, embedding in zip(self.large, self.embeddings, strict=True)]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


class _OneHot(nn.Module):
    """One-hot vectors of some columns, side by side; code 0 is all zeros."""

    offsets: Tensor
    columns: Tensor

    def __init__(self, columns: list[int], cardinalities: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor([cardinalities[i] - 1 for i in columns])
        self.width = int(sizes.sum())
        # Derived from the spec, so no part of the weights that are stored.
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)

    def forward(self, x_cat: Tensor) -> Tensor:
        codes = x_cat.index_select(1, self.columns)
        # Code 0 goes to a last position that is cut off.
        position = torch.where(codes > 0, self.offsets + codes - 1, self.width)
        ones = torch.zeros(len(codes), self.width + 1, device=codes.device)
        return ones.scatter_(1, position, 1.0)[:, : self.width]


def _numeric(inputs: InputSpec, config: Config) -> nn.Module:
    if config.get("embedding", "none") == "none" or inputs.n_num == 0:
        return nn.Identity()
    if config["embedding"] == "periodic":
        scale = float(config["frequency_scale"])
        periodic: nn.Module = PeriodicEmbeddings(
            inputs.n_num, EMBEDDING_SIZE, n_frequencies=N_FREQUENCIES, frequency_init_scale=scale, lite=True
        )
        return periodic
    with warnings.catch_warnings():
        # A column of two values has a single bin, and is then scaled linearly: just what it needs.
        warnings.simplefilter("ignore")
        bins = [torch.tensor(edges) for edges in inputs.bins]
        piecewise: nn.Module = PiecewiseLinearEmbeddings(bins, EMBEDDING_SIZE, activation=False, version="B")
        return piecewise


def _size(cardinality: int) -> int:
    return min(32, round(1.6 * math.pow(cardinality, 0.56)))  # fastai's rule of thumb, with a lower cap


def _embedding(cardinality: int) -> nn.Embedding:
    embedding = nn.Embedding(cardinality, _size(cardinality))
    nn.init.normal_(embedding.weight, std=_size(cardinality) ** -0.5)
    nn.init.zeros_(embedding.weight[0])
    return embedding
