"""What comes before a picture network's first layer."""

import torch
from torch import Tensor, nn

from hone.models.inputs import Picture


class Pixels(nn.Module):
    """Scales pixels, 0..255, to mean 0 and deviation 1 over the training pictures, each channel by itself."""

    factor: Tensor
    offset: Tensor

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        mean, std = torch.tensor(picture.mean), torch.tensor(picture.std)
        # Derived from the spec, so no part of the weights that are stored.
        self.register_buffer("factor", (1 / std)[:, None, None], persistent=False)
        self.register_buffer("offset", (-mean / std)[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return float32 ``[b, c, h, w]``. pixels: uint8, or float32 in the same units."""
        scaled = torch.addcmul(self.offset, pixels.float(), self.factor)
        # Convolutions follow their input's layout: a third less time on a CPU. The weights keep theirs, as fused
        # optimizers and checkpoints go by it.
        return scaled.contiguous(memory_format=torch.channels_last)
