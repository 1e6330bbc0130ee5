"""RealMLP of Holzmüller et al. 2024, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data".

A multilayer perceptron with what their large benchmark found to help: columns scaled by their quartiles and clipped
smoothly, periodic embeddings beside the plain number, a learned scale for each input, activations that may
become linear, small steps for biases, and a learning rate that falls and rises again. Its training is the family's
default config (`coslog4`, ``beta2``, label smoothing); dropout and weight decay are held constant.

Layers are half as wide as the paper's, as an epoch on a core of a CPU is what it costs here.
The paper parametrises a layer as ``W x / sqrt(d)`` with one learning rate for all. Adam's steps do not depend on the
gradient's scale, so here a layer is a plain one, and its learning rate has the factor instead (`optimisation.rated`):
learning rates mean the same as in other families.
"""

import math

import torch
from torch import Tensor, nn

from hone.models.activations import ACTIVATIONS
from hone.models.embeddings import Categories
from hone.models.inputs import N_BINS, InputSpec
from hone.models.optimisation import rated
from hone.trial import Config

N_FREQUENCIES = 16
EMBEDDING_SIZE = 4  # the number itself is one of them
CLIP = 3.0
FARTHEST = 1e6  # beyond it the clipped value is the same, and soon its square is infinite
BASE = 16.0  # square root of the paper's width: the learning rate of a layer 256 wide has no factor
BIAS, ACTIVATION, SCALE = 0.1, 0.1, 6.0  # factors of the paper's learning rate


class RealMLP(nn.Module):
    """Scaled and embedded columns, ``n_layers`` of (linear, activation, dropout), and a head that starts at zero."""

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        self.clipped = _Clipped(inputs)
        # a table without numbers is searched without the scale: there is nothing for it to change
        self.periodic = _Periodic(inputs.n_num, float(config["pbld_scale"]) if inputs.n_num else 1.0)
        self.categories = Categories(inputs)
        width = inputs.n_num * EMBEDDING_SIZE + self.categories.width
        self.scale = rated(nn.Parameter(torch.ones(width)), BASE * SCALE)
        layers, units = list[nn.Module](), int(config["units"])
        for _ in range(int(config["n_layers"])):
            layers += [_linear(width, units), _Parametric(ACTIVATIONS[str(config["activation"])](), units)]
            layers += [nn.Dropout(float(config["dropout"]))] if float(config["dropout"]) > 0 else []
            width = units
        self.layers = nn.Sequential(*layers)
        self.head = _linear(width, inputs.n_outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``."""
        x = self.periodic(self.clipped(x_num))
        if self.categories.width:
            x = torch.cat([x, self.categories(x_cat)], 1)
        outputs: torch.Tensor = self.head(self.layers(x * self.scale))
        return outputs


class _Clipped(nn.Module):
    """Columns around their medians, by their quartiles, and clipped smoothly: ``z / sqrt(1 + (z / 3)^2)``."""

    centres: Tensor
    scales: Tensor

    def __init__(self, inputs: InputSpec) -> None:
        super().__init__()
        quartiles = inputs.quartiles or tuple(map(_quartiles, inputs.bins))
        scaled = [_robust(*each) for each in zip(quartiles, inputs.bins, strict=True)]
        centres, scales = zip(*scaled, strict=True) if scaled else ((), ())
        # Derived from the spec, so no part of the weights that are stored.
        self.register_buffer("centres", torch.tensor(centres), persistent=False)
        self.register_buffer("scales", torch.tensor(scales), persistent=False)

    def forward(self, x_num: Tensor) -> Tensor:
        z = ((x_num - self.centres) * self.scales).clamp(-FARTHEST, FARTHEST)
        return z * torch.rsqrt(1 + (z / CLIP) ** 2)


def _robust(quartiles: tuple[float, float, float], edges: tuple[float, ...]) -> tuple[float, float]:
    """Return (median, 1 / interquartile range) of a column; where the quartiles coincide, 2 / its range.

    edges: of its quantile bins, the first and last its least and greatest value (the paper's section 3, scaling).
    """
    low, median, high = quartiles
    return median, 1 / (high - low) if high > low else 2 / (edges[-1] - edges[0])


def _quartiles(edges: tuple[float, ...]) -> tuple[float, float, float]:
    """Return about the quartiles of a column from its bins' edges, where a model's folder does not have them."""
    n = len(edges) - 1
    if n < N_BINS:  # edges that coincide are given once: nothing is known but the range
        return edges[len(edges) // 2], edges[len(edges) // 2], edges[len(edges) // 2]
    return edges[n // 4], edges[n // 2], edges[3 * n // 4]


class _Periodic(nn.Module):
    """For each column its number, and a linear map of ``cos(2 pi (w x + b))`` (the paper's PBLD embedding)."""

    def __init__(self, n_num: int, scale: float) -> None:
        super().__init__()
        self.frequencies = rated(nn.Parameter(torch.randn(n_num, N_FREQUENCIES) * scale), BASE * BIAS, decay=0.0)
        self.phases = rated(nn.Parameter(torch.rand(n_num, N_FREQUENCIES) - 0.5), BASE * BIAS, decay=0.0)
        bound = N_FREQUENCIES**-0.5
        self.weight = nn.Parameter(torch.empty(n_num, N_FREQUENCIES, EMBEDDING_SIZE - 1).uniform_(-bound, bound))
        self.bias = rated(nn.Parameter(torch.empty(n_num, EMBEDDING_SIZE - 1).uniform_(-bound, bound)), 1.0, decay=0.0)

    def forward(self, x: Tensor) -> Tensor:
        waves = torch.cos(2 * math.pi * (x.unsqueeze(2) * self.frequencies + self.phases))
        embedded = torch.einsum("bcf,cfe->bce", waves, self.weight) + self.bias
        return torch.cat([x.unsqueeze(2), embedded], 2).flatten(1)


class _Parametric(nn.Module):
    """An activation that each unit may turn into a line: ``(1 - a) x + a f(x)``, a = 1 at the start."""

    def __init__(self, activation: nn.Module, units: int) -> None:
        super().__init__()
        self.activation = activation
        self.share = rated(nn.Parameter(torch.ones(units)), BASE * ACTIVATION)

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(x, self.activation(x), self.share)


def _linear(width: int, units: int) -> nn.Linear:
    """Return a layer whose weights are drawn from N(0, 1 / width), at the learning rate of the paper's."""
    layer = nn.Linear(width, units)
    nn.init.normal_(layer.weight, std=max(1, width) ** -0.5)
    factor = BASE * max(1, width) ** -0.5
    rated(layer.weight, factor, decay=1 / factor)
    rated(layer.bias, BASE * BIAS)
    return layer
