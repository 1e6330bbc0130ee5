"""Out-of-fold predictions of the finalists' replays, used to choose the ensemble and to calibrate it.

A replay keeps its predictions after every epoch: which epoch the final model will have is known only once all replays
have ended, and predictions of a replay's own best epoch would flatter it on the rows that chose the epoch.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from hone.data import problem as problems
from hone.data import splitting
from hone.data.problem import Problem
from hone.seeds import numpy_generator
from hone.space import identity
from hone.trial import Config, Result
from tasks import files

Floats = NDArray[np.float64]
Kept = NDArray[np.floating[Any]]
KEY, DIGEST = "predictions", "sha256"
MOST_BYTES = 2**26
"""Bytes for the predictions of one replay, of all its epochs together; where they are more, a sample of rows is kept.
That is 155,000 rows at 54 epochs and two classes."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions for held-out rows, each row by networks that did not see it.

    truth: [n] class codes or values. groups: [n], of a grouped split. predictions: by a config's identity, one for each
    of its replicates: [n, n_classes] probabilities or [n] values.
    """

    problem: Problem
    truth: NDArray[Any]
    groups: NDArray[np.generic] | None
    predictions: Mapping[str, Sequence[Floats]]

    def of(self, config: Config) -> Sequence[Floats]:
        """Return the predictions of a config's replicates; none if all failed."""
        return self.predictions.get(identity(config), ())


class Recorder:
    """Keeps what a replay predicts for its held-out rows after each of its epochs."""

    def __init__(self, epochs: int) -> None:
        """Expect at most so many epochs."""
        self._epochs, self._n = epochs, 0
        self._kept: Kept | None = None
        self._rows: NDArray[np.int64] | None = None

    def __call__(self, prediction: Floats) -> None:
        """Keep the predictions after the next epoch, [n, n_classes] or [n]."""
        if self._kept is None:
            # Probabilities; values in the target's own units may need more digits than float32 has.
            dtype = np.dtype(np.float64 if prediction.ndim == 1 else np.float32)
            one_row = self._epochs * prediction[:1].size * dtype.itemsize
            n_kept = min(len(prediction), max(1, MOST_BYTES // one_row))
            self._rows = sample(len(prediction), n_kept)
            self._kept = np.empty((self._epochs, n_kept, *prediction.shape[1:]), dtype=dtype)
        self._kept[self._n] = prediction[self._rows]
        self._n += 1

    @property
    def predictions(self) -> Kept:
        """The predictions so far, [n_epochs, n_kept, n_classes] or [n_epochs, n_kept]."""
        return np.empty((0, 0), dtype=np.float32) if self._kept is None else self._kept[: self._n]


def sample(n_rows: int, n_kept: int) -> NDArray[np.int64]:
    """Return which of so many held-out rows are kept, in order: the same for all replays, all where there is room."""
    return np.sort(numpy_generator(0, "held out", n_rows).permutation(n_rows)[:n_kept])


def write(folder: Path, key: str, predictions: Kept) -> None:
    """Write what a replay predicts for its held-out rows after each epoch; see `Recorder.predictions`."""
    predictions = np.ascontiguousarray(predictions)
    about = {DIGEST: hashlib.sha256(predictions.tobytes()).hexdigest()}
    files.write_bytes(folder / f"{key}.safetensors", save({KEY: predictions}, metadata=about))


def is_there(folder: Path, key: str) -> bool:
    """Return whether what a replay predicted is there, whole."""
    try:
        with safe_open(folder / f"{key}.safetensors", framework="np") as opened:
            digest = (opened.metadata() or {}).get(DIGEST)
            return digest == hashlib.sha256(opened.get_tensor(KEY).tobytes()).hexdigest()
    except (OSError, SafetensorError):
        return False


def gather(path: Path, folder: Path, epochs: Mapping[str, int]) -> None:
    """Write the predictions of many replays into one file, from the folder that `write` was given.

    epochs: of each replay by its key, the epoch that counts, from 1. A replay that stopped before has its last one.
    """
    files.write_bytes(path, save({key: _after(folder / f"{key}.safetensors", epoch) for key, epoch in epochs.items()}))


def _after(path: Path, epoch: int) -> Floats:
    with safe_open(path, framework="np") as opened:
        kept = opened.get_slice(KEY)
        place = min(epoch, kept.get_shape()[0]) - 1
        return np.ascontiguousarray(kept[place : place + 1][0], dtype=np.float64)


def read(path: Path, replays: Sequence[Result], split: Path, problem: Problem, group: str | None) -> HeldOut:
    """Return the predictions that `gather` wrote. replays: all of them. split: its folder. group: a column, or None.

    A replicate counts if it is complete on every fold. Where replays kept a sample of their rows, these are the rows.
    """
    found = load_file(path)
    names = [problem.target, *([] if group is None else [group])]
    training, validation = (
        pd.read_parquet(split / f"{name}.parquet", columns=names) for name in ("train", "validation")
    )
    rows = pd.concat([training, validation], ignore_index=True)
    places: dict[int | None, NDArray[np.int64]]
    numbers = sorted({replay.trial.fold for replay in replays if replay.trial.fold is not None})
    if numbers:
        folds = pd.read_parquet(split / "folds.parquet")
        places = {number: splitting.fold_rows(folds, number)[1] for number in numbers}
    else:
        places = {None: np.arange(len(training), len(rows))}
    kept = {replay.trial.fold: len(found[replay.trial.key]) for replay in replays if replay.trial.key in found}
    places = {fold: place[sample(len(place), kept.get(fold, len(place)))] for fold, place in places.items()}
    rows = rows.iloc[np.concatenate(list(places.values()))]
    predictions: dict[str, list[Floats]] = {}
    each: dict[tuple[str, int], dict[int | None, Floats]] = {}
    for replay in replays:
        parts = each.setdefault((identity(replay.trial.config), replay.trial.replicate), {})
        if replay.trial.key in found:
            parts[replay.trial.fold] = found[replay.trial.key]
    for (config, _), parts in each.items():
        if len(parts) == len(places):
            predictions.setdefault(config, []).append(np.concatenate([parts[fold] for fold in places]))
    return HeldOut(
        problem,
        problems.encode(problem, rows[problem.target]),
        None if group is None else rows[group].astype(str).to_numpy(dtype=str),
        predictions,
    )
