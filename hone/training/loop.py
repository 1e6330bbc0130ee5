"""The loop that trains a network: it knows no metric, no tracker and no files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from hone.seeds import torch_generator
from hone.training import graphs
from hone.training.determinism import seeded
from hone.training.eager import clip_gradients
from hone.training.optimizers import RATE

Loss = Callable[[Tensor, Tensor], Tensor]
MOST_GATHERED = 2**25  # bytes
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Batches:
    """Training rows resident on the network's device, dealt in an order drawn anew for each epoch.

    x_num: float32 ``[n, n_num]``, of pictures uint8 ``[n, c, h, w]``. x_cat: int64 ``[n, n_cat]``. y: ``[n]``, int64
    classes or float32 values.
    """

    x_num: Tensor
    x_cat: Tensor
    y: Tensor
    size: int

    def sizes(self) -> list[int]:
        """Return the rows of each batch of an epoch; together they are all rows.

        A last batch of one row is merged into the one before it: batch norm needs two.
        """
        n_full, rest = divmod(len(self.y), self.size)
        sizes = [self.size] * n_full + [rest] * (rest > 0)
        if len(sizes) > 1 and sizes[-1] == 1:
            sizes[-2:] = [sizes[-2] + 1]
        return sizes

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield (x_num, x_cat, y) for each batch of an epoch."""
        order = torch.randperm(len(self.y), generator=generator).to(self.y.device)
        sizes = self.sizes()
        # Gathered many batches at a time, which are then views: cheaper than each for itself. Not the whole of a
        # large table, which would be in memory a second time.
        row = sum(tensor[0].nbytes for tensor in (self.x_num, self.x_cat, self.y))
        n_batches = max(1, MOST_GATHERED // (self.size * row))
        for first in range(0, len(sizes), n_batches):
            together = sizes[first : first + n_batches]
            rows = order[first * self.size : first * self.size + sum(together)]
            x_num, x_cat, y = (tensor.index_select(0, rows) for tensor in (self.x_num, self.x_cat, self.y))
            start = 0
            for size in together:  # torch.split is many times slower
                part = slice(start, start + size)
                yield x_num[part], x_cat[part], y[part]
                start += size


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch of training: its number, from 1, the mean training loss (None: unknown), and whether all is finite."""

    epoch: int
    loss: float | None
    finite: bool


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    batches: Batches,
    *,
    epochs: range,
    horizon: int,
    learning_rate: float,
    schedule: Callable[[float], float],
    gradient_clip: float,
    seed: int,
    frozen: Sequence[nn.Parameter] = (),
    frozen_epochs: int = 0,
    augment: Augment | None = None,
    recorded: bool = False,
) -> Iterator[EpochMetrics]:
    """Train `model` in place and yield after each of `epochs` (numbers from 1), until the caller takes no more.

    horizon: epochs over which the schedule runs. gradient_clip: largest norm of a gradient; 0 does not clip.
    frozen: parameters that rest for the first `frozen_epochs`.
    augment: what a batch's x_num and y are replaced by, in each epoch anew.
    recorded: whether, on a CUDA device, steps are replayed from a recording; nothing in them may wait for a result,
    nothing be frozen. Batches are augmented before.
    Every random number is drawn from (seed, epoch), so any run of epochs may be split in two at any point.
    """
    sizes = batches.sizes()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def step(x_num: Tensor, x_cat: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        batch_loss = loss(model(x_num, x_cat), y)
        batch_loss.backward()  # type: ignore[no-untyped-call]
        if gradient_clip > 0:
            clip_gradients(parameters, gradient_clip)
        optimizer.step()
        return batch_loss.detach()

    whole: graphs.Step = step
    # By the horizon, not by these epochs: parts of a training must do what the whole does.
    if recorded and sizes[0] == batches.size and horizon * len(sizes) >= graphs.FEWEST_STEPS:
        model.train()
        x_num, x_cat, y = (tensor[: batches.size] for tensor in (batches.x_num, batches.x_cat, batches.y))
        with seeded(batches.y.device, seed, "recording"):
            if augment is not None:
                x_num, y = augment(x_num, y)
            whole = graphs.record(step, (x_num, x_cat, y), model, optimizer)
    for epoch in epochs:
        model.train()
        for parameter in frozen:
            parameter.requires_grad_(epoch > frozen_epochs)
        total = torch.zeros((), device=batches.y.device)
        with seeded(batches.y.device, seed, "dropout", epoch):
            dealt = batches.epoch(torch_generator(seed, "shuffle", epoch))
            for number, (x_num, x_cat, y) in enumerate(dealt):
                progress = (epoch - 1 + number / len(sizes)) / horizon
                for group in optimizer.param_groups:
                    rate = learning_rate * group[RATE] * schedule(progress)
                    if isinstance(group["lr"], Tensor):
                        group["lr"].fill_(rate)
                    else:
                        group["lr"] = rate
                if augment is not None:
                    x_num, y = augment(x_num, y)
                batch_loss = (whole if len(y) == batches.size else step)(x_num, x_cat, y)
                total += batch_loss * (sizes[number] / len(batches.y))  # read once an epoch: a sync point
        # A norm is finite only if every weight is; weights that overflow it have diverged too.
        finite = torch.isfinite(total + get_total_norm(parameters, foreach=True))
        yield EpochMetrics(epoch, float(total), bool(finite))
