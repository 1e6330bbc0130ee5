"""A plain convolutional network for small pictures: stages of convolutions, each at half the size of the one before."""

import torch
from torch import Tensor, nn

from hone.models.inputs import InputSpec
from hone.models.pixels import Pixels
from hone.trial import Config

WIDEST = 4  # times the first stage's channels: further doublings would cost more than they give


class CNN(nn.Module):
    """Stages of (convolution, batch norm, ReLU) × ``n_convolutions``, then the mean over the picture.

    The last convolution of a stage is pooled, as long as the picture can be halved; the channels double from stage to
    stage.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        assert inputs.picture is not None
        channels, height, width = inputs.picture.shape
        side, first = min(height, width), int(config["width"])
        layers = list[nn.Module]()
        for stage in range(int(config["n_stages"])):
            wide = first * min(2**stage, WIDEST)
            for left in reversed(range(int(config["n_convolutions"]))):
                layers.append(nn.Conv2d(channels, wide, 3, padding=1, bias=False))
                if left == 0 and side >= 2:  # pooled before it is normalised: a quarter of the work
                    layers.append(nn.MaxPool2d(2))
                    side //= 2
                layers += [nn.BatchNorm2d(wide), nn.ReLU()]
                channels = wide
        self.pixels = Pixels(inputs.picture)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Dropout(float(config["dropout"])), nn.Linear(channels, inputs.n_outputs))

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``. x_num: pictures; x_cat is not looked at."""
        outputs: torch.Tensor = self.head(self.layers(self.pixels(x_num)).mean((2, 3)))
        return outputs
