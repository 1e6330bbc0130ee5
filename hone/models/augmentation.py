"""What is done to pictures while a network learns from them, so that it sees none of them twice; all hyperparameters.

Mixup: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization". CutMix: Yun et al. 2019, "CutMix:
Regularization Strategy to Train Strong Classifiers with Localizable Features".
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hone.models.inputs import InputSpec
from hone.trial import Config


@dataclass(frozen=True)
class Augmentation:
    """Changes a batch of pictures at random, each in its own way; random numbers come from torch's global generator.

    flip: whether half of them are mirrored, left to right. crop: up to this share of the side is cut off, and the
    picture shifted by up to half of it; what comes in at an edge is mirrored. colour: the largest relative change of
    brightness, of contrast and of saturation. mixing: none, or with which of its neighbours in the batch a picture,
    and its target, is mixed; shares are drawn from Beta(mixing_alpha, mixing_alpha).
    """

    flip: bool
    crop: float
    colour: float
    mixing: str
    mixing_alpha: float
    n_outputs: int

    def __call__(self, pixels: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return float32 pictures ``[b, c, h, w]``, still in 0..255, and their targets.

        pixels: uint8. y: ``[b]``; of classes that are mixed, each one's share ``[b, n_classes]`` is returned.
        """
        x = self._coloured(self._moved(pixels.float()))
        if self.mixing == "none" or len(x) < 2:
            return x, y
        concentration = torch.full((len(x),), self.mixing_alpha, device=x.device)
        share = torch.distributions.Beta(concentration, concentration, validate_args=False).sample()
        share = torch.maximum(share, 1 - share)  # of the picture itself
        if self.mixing == "mixup":
            x = torch.lerp(x.roll(1, 0), x, share[:, None, None, None])
        else:
            x, share = _with_patches(x, share)
        if self.n_outputs > 1:
            y, share = functional.one_hot(y, self.n_outputs).float(), share[:, None]
        return x, torch.lerp(y.roll(1, 0), y, share)  # batches are shuffled: any neighbour will do

    def _moved(self, x: Tensor) -> Tensor:
        """Return pictures mirrored, cut and shifted."""
        mirrored = torch.rand(len(x), device=x.device) < (0.5 if self.flip else 0.0)
        if self.crop == 0:
            return torch.where(mirrored[:, None, None, None], x.flip(3), x)
        zoom = 1 - self.crop * torch.rand(len(x), device=x.device)
        theta = torch.zeros(len(x), 2, 3, device=x.device)
        theta[:, 0, 0] = torch.where(mirrored, -zoom, zoom)
        theta[:, 1, 1] = zoom
        theta[:, :, 2] = self.crop * (2 * torch.rand(len(x), 2, device=x.device) - 1)
        grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    def _coloured(self, x: Tensor) -> Tensor:
        """Return pictures brighter or darker, of more or less contrast, and more or less colourful."""
        if self.colour == 0:
            return x
        factors = 1 + self.colour * (2 * torch.rand(3, len(x), 1, 1, 1, device=x.device) - 1)
        mean = x.mean((1, 2, 3), keepdim=True)
        x = factors[0] * torch.lerp(mean, x, factors[1])
        return torch.lerp(x.mean(1, keepdim=True), x, factors[2]) if x.shape[1] == 3 else x


def _with_patches(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures with a patch of a neighbour's, at a place drawn at random, and what is left of each."""
    n, _, height, width = x.shape
    side = torch.sqrt(1 - share)
    inside = []
    for size, centre in zip((height, width), torch.rand(2, n, device=x.device), strict=True):
        place = (torch.arange(size, device=x.device) + 0.5) / size
        inside.append((place - centre[:, None]).abs() < side[:, None] / 2)
    patch = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(patch, x.roll(1, 0), x), 1 - patch.float().mean((1, 2, 3))


def augmentation(inputs: InputSpec, config: Config) -> Augmentation | None:
    """Return a config's augmentation; None for a table, and where nothing would be changed."""
    if inputs.picture is None:
        return None
    found = Augmentation(
        flip=bool(config["flip"]),
        crop=float(config["crop"]),
        colour=float(config["colour"]),
        mixing=str(config["mixing"]),
        mixing_alpha=float(config.get("mixing_alpha", 1.0)),
        n_outputs=inputs.n_outputs,
    )
    changes = found.flip or found.crop or found.colour or found.mixing != "none"
    return found if changes else None
