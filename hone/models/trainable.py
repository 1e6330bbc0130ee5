"""Whole trainings from elsewhere: a class of the user's own, in any framework, that trains and predicts.

Hone asks it for one checkpoint an epoch, scores what it predicts from that on rows it has not seen, and does the rest:
early stopping, continuing, replays, the final model. A checkpoint is bytes that Hone stores and never looks into.
"""

import abc
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hone.data.preprocessing import Arrays
from hone.errors import UserError
from hone.models.inputs import InputSpec
from hone.trial import Config

SMALLEST = 1e-15
"""Probabilities below count as this: a logarithm is taken."""


class Trainable(abc.ABC):
    """What to derive from. The object itself keeps nothing: every call is given all there is.

    space: hyperparameters, name to spec as in params.yaml's `search.space`; a spec may have a `default`.
    """

    space: ClassVar[Mapping[str, Any]] = {}

    @abc.abstractmethod
    def train(
        self,
        config: Config,
        inputs: InputSpec,
        rows: Arrays,
        *,
        epochs: range,
        horizon: int,
        seed: int,
        checkpoint: bytes | None,
    ) -> Iterator[bytes]:
        """Yield a checkpoint after each of `epochs`, numbers from 1; Hone may stop asking at any time.

        checkpoint: what was yielded after the epoch before the first; None before epoch 1. horizon: the full resource
        in epochs, for a schedule. rows: see `Arrays`; y holds class codes, or values of mean 0 and variance 1.

        Equal arguments must give equal bytes, and going on from a checkpoint the bytes of going straight through: so
        a checkpoint holds all of the state, and random numbers are drawn from (seed, epoch).
        """

    @abc.abstractmethod
    def predict(self, config: Config, inputs: InputSpec, checkpoint: bytes, rows: Arrays) -> NDArray[Any]:
        """Return probabilities [n, n_outputs], or if n_outputs is 1 values [n] on the scale of the y trained on.

        rows: y is empty. A row's prediction may not depend on the others.
        """


class Fitted(nn.Module):
    """A trainable after some epoch, with the face of a network: its outputs are logarithms of probabilities.

    state: the checkpoint, which is all of the state dict. name: what messages call it.
    """

    def __init__(self, name: str, trainable: Trainable, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        self.name, self.trainable, self.inputs, self.config = name, trainable, inputs, dict(config)
        self.state: bytes | None = None

    def get_extra_state(self) -> Tensor:
        """Return the checkpoint's bytes [n]; torch asks for it when the state dict is made."""
        return torch.tensor(np.frombuffer(self.state or b"", dtype=np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Take over the bytes of a checkpoint."""
        self.state = state.cpu().numpy().tobytes() or None

    def checkpoints(self, rows: Arrays, *, epochs: range, horizon: int, seed: int) -> Iterator[bytes]:
        """Yield a checkpoint after each of `epochs`, going on from the present state, and take it over.

        Raises UserError, in one line, for whatever the trainable raises, or yields that is no checkpoint.
        """
        steps: Iterator[Any] | None = None
        for epoch in epochs:
            try:
                if steps is None:
                    trained = self.trainable.train(
                        self.config,
                        self.inputs,
                        rows,
                        epochs=epochs,
                        horizon=horizon,
                        seed=seed,
                        checkpoint=self.state,
                    )
                    steps = iter(trained)
                state = next(steps)
            except StopIteration:
                raise UserError(
                    f"{self.name}: train ended before epoch {epoch} of {epochs[-1]}; yield once an epoch"
                ) from None
            except Exception as error:  # it is a person's own and may raise anything
                raise UserError(f"{self.name}: train failed in epoch {epoch} ({one_line(error)})") from error
            if not isinstance(state, bytes) or not state:
                what = "no bytes" if isinstance(state, bytes) else f"a value of type {type(state).__name__}"
                raise UserError(f"{self.name}: train yielded {what} after epoch {epoch}; yield a checkpoint as bytes")
            self.state = state
            yield state

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return float64 [b, n_outputs]. Raises UserError for what is no prediction; infinite ones are let through."""
        rows = Arrays(x_num.cpu().numpy().copy(), x_cat.cpu().numpy().copy(), np.empty(0, dtype=np.float32))
        n, n_outputs = len(rows), self.inputs.n_outputs
        try:
            assert self.state is not None
            with threadpool_limits(1):  # as it was trained: sums depend on how they are split
                found = np.asarray(self.trainable.predict(self.config, self.inputs, self.state, rows), dtype=np.float64)
        except Exception as error:
            raise UserError(f"{self.name}: predict failed ({one_line(error)})") from error
        if found.shape != ((n,) if n_outputs == 1 else (n, n_outputs)):
            wanted = f"({n},)" if n_outputs == 1 else f"({n}, {n_outputs})"
            raise UserError(f"{self.name}: predict returned shape {found.shape} for {n} rows; return {wanted}")
        values = torch.tensor(found)
        if n_outputs == 1:
            return values[:, None]
        finite = bool(np.isfinite(found).all())
        if finite and (found.min(initial=0.0) < 0 or np.abs(found.sum(1) - 1).max(initial=0.0) > 1e-3):
            raise UserError(f"{self.name}: predict returned rows that are no probabilities; each must add up to 1")
        return values.clamp(min=SMALLEST).log()


def one_line(error: Exception) -> str:
    """Return an error's type and text in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
