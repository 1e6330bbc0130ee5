"""A small ResNet for pictures, after He et al. 2016, "Identity Mappings in Deep Residual Networks"."""

import torch
from torch import Tensor, nn

from hone.models.inputs import InputSpec
from hone.models.pixels import Pixels
from hone.trial import Config

N_STAGES = 3
LARGE = 40  # pixels; above this the first convolution halves the picture, which makes all behind it four times cheaper


class ResNetImage(nn.Module):
    """A convolution, three stages of ``n_blocks`` residual blocks, and a head on the mean over the picture.

    Each stage after the first halves the picture and doubles the channels.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        assert inputs.picture is not None
        n_channels, height, width = inputs.picture.shape
        wide = int(config["width"])
        self.pixels = Pixels(inputs.picture)
        stride = 2 if min(height, width) > LARGE else 1
        self.first = nn.Conv2d(n_channels, wide, 3, stride, padding=1, bias=False)
        blocks = list[nn.Module]()
        channels = wide
        for stage in range(N_STAGES):
            for block in range(int(config["n_blocks"])):
                blocks.append(_Block(channels, wide * 2**stage, 2 if stage > 0 and block == 0 else 1))
                channels = wide * 2**stage
        self.blocks = nn.Sequential(*blocks, nn.BatchNorm2d(channels), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(float(config["dropout"])), nn.Linear(channels, inputs.n_outputs))

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``. x_num: pictures; x_cat is not looked at."""
        outputs: torch.Tensor = self.head(self.blocks(self.first(self.pixels(x_num))).mean((2, 3)))
        return outputs


class _Block(nn.Module):
    """(Batch norm, ReLU, convolution) twice, and a way around them."""

    def __init__(self, channels: int, wide: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.layers = nn.Sequential(
            nn.Conv2d(channels, wide, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1, bias=False),
        )
        same = channels == wide and stride == 1
        self.around = None if same else nn.Conv2d(channels, wide, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        before = self.before(x)
        around = x if self.around is None else self.around(before)
        outputs: torch.Tensor = around + self.layers(before)
        return outputs
