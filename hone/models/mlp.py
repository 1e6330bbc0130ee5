"""The multilayer perceptron: linear layers of chosen widths, an activation and dropout behind each."""

import torch
from torch import Tensor, nn

from hone.models.activations import ACTIVATIONS
from hone.models.embeddings import Features
from hone.models.inputs import InputSpec
from hone.trial import Config


class MLP(nn.Module):
    """Features, then ``n_layers`` of (linear, activation, dropout), then a linear layer to the outputs.

    A layer without ``units_<i>`` in the config is as wide as the one before it.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        self.features = Features(inputs, config)
        width, units, layers = self.features.width, int(config["units_1"]), list[nn.Module]()
        for i in range(1, int(config["n_layers"]) + 1):
            units = int(config.get(f"units_{i}", units))
            layers += [nn.Linear(width, units), ACTIVATIONS[str(config["activation"])]()]
            layers += [nn.Dropout(float(config["dropout"]))] if float(config["dropout"]) > 0 else []
            width = units
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, inputs.n_outputs)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``."""
        outputs: torch.Tensor = self.head(self.layers(self.features(x_num, x_cat)))
        return outputs
