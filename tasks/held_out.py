"""What the finalists' replays predict for rows that they were not trained on: the final model is composed by it."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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
from hone.space import identity
from hone.trial import Config, Result
from tasks import files

Floats = NDArray[np.float64]
KEY, DIGEST = "prediction", "sha256"


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


def write(folder: Path, key: str, prediction: Floats) -> None:
    """Write what a replay predicts for its held-out rows."""
    prediction = np.ascontiguousarray(prediction)
    about = {DIGEST: hashlib.sha256(prediction.tobytes()).hexdigest()}
    files.write_bytes(folder / f"{key}.safetensors", save({KEY: prediction}, metadata=about))


def is_there(folder: Path, key: str) -> bool:
    """Return whether what a replay predicted is there, whole."""
    try:
        with safe_open(folder / f"{key}.safetensors", framework="np") as opened:
            digest = (opened.metadata() or {}).get(DIGEST)
            return digest == hashlib.sha256(opened.get_tensor(KEY).tobytes()).hexdigest()
    except (OSError, SafetensorError):
        return False


def gather(path: Path, folder: Path, keys: Iterable[str]) -> None:
    """Write the predictions of many replays into one file, from the folder that `write` was given."""
    files.write_bytes(path, save({key: load_file(folder / f"{key}.safetensors")[KEY] for key in keys}))


def read(path: Path, replays: Sequence[Result], split: Path, problem: Problem, group: str | None) -> HeldOut:
    """Return the predictions that `gather` wrote. replays: all of them. split: its folder. group: a column, or None.

    A replicate counts if it is complete on every fold.
    """
    found = load_file(path)
    names = [problem.target, *([] if group is None else [group])]
    training, validation = (
        pd.read_parquet(split / f"{name}.parquet", columns=names) for name in ("train", "validation")
    )
    rows = pd.concat([training, validation], ignore_index=True)
    numbers = sorted({replay.trial.fold for replay in replays if replay.trial.fold is not None})
    if numbers:
        folds = pd.read_parquet(split / "folds.parquet")
        rows = rows.iloc[np.concatenate([splitting.fold_rows(folds, number)[1] for number in numbers])]
    else:
        rows = rows.iloc[len(training) :]
    predictions: dict[str, list[Floats]] = {}
    each: dict[tuple[str, int], dict[int | None, Floats]] = {}
    for replay in replays:
        parts = each.setdefault((identity(replay.trial.config), replay.trial.replicate), {})
        if replay.trial.key in found:
            parts[replay.trial.fold] = found[replay.trial.key]
    for (config, _), parts in each.items():
        if len(parts) == max(1, len(numbers)):
            order: list[int | None] = [*numbers] if numbers else [None]
            predictions.setdefault(config, []).append(np.concatenate([parts[fold] for fold in order]))
    return HeldOut(
        problem,
        problems.encode(problem, rows[problem.target]),
        None if group is None else rows[group].astype(str).to_numpy(dtype=str),
        predictions,
    )
