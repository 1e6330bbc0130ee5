"""The tabular ResNet of Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data", section 3.2."""

import torch
from torch import Tensor, nn

from hone.models.embeddings import Features
from hone.models.inputs import InputSpec
from hone.trial import Config


class ResNet(nn.Module):
    """Features, a linear layer, blocks with a way around each, and a head behind a last normalisation."""

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        units = int(config["units"])
        self.features = Features(inputs, config)
        self.first = nn.Linear(self.features.width, units)
        self.blocks = nn.ModuleList(_block(units, config) for _ in range(int(config["n_blocks"])))
        self.head = nn.Sequential(nn.BatchNorm1d(units), nn.ReLU(), nn.Linear(units, inputs.n_outputs))

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``."""
        x = self.first(self.features(x_num, x_cat))
        for block in self.blocks:
            x = x + block(x)
        outputs: torch.Tensor = self.head(x)
        return outputs


def _block(units: int, config: Config) -> nn.Sequential:
    hidden = round(units * float(config["hidden_factor"]))
    return nn.Sequential(
        nn.BatchNorm1d(units),
        nn.Linear(units, hidden),
        nn.ReLU(),
        nn.Dropout(float(config["dropout"])),
        nn.Linear(hidden, units),
        nn.Dropout(float(config["residual_dropout"])),
    )
