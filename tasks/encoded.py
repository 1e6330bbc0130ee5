"""Encoded rows in files, made once and mapped into memory: all processes of a stage share one copy of them."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.models import InputSpec
from hone.training.train import TrainingData
from tasks import files

DONE = "rows.json"
PARTS = ("train", "validation", "stopping")
FIELDS = ("x_num", "x_cat", "y")


def shared(folder: Path, encode: Callable[[], TrainingData]) -> TrainingData:
    """Return what `encode` returns, its arrays mapped from files in `folder`; whoever comes first makes them.

    The folder must be a new one wherever `encode` would return something else. A kill leaves nothing half-made: the
    file that says that all are there comes last.
    """
    if not (folder / DONE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, or its process ends, however it ends
            if not (folder / DONE).exists():
                _write(folder, encode())
    return _read(folder)


def _write(folder: Path, data: TrainingData) -> None:
    for part in PARTS:
        arrays: Arrays | None = getattr(data, part)
        for name in FIELDS if arrays is not None else ():
            with files.atomic(folder / f"{part}.{name}.npy") as file:
                np.save(file, getattr(arrays, name))
    content = {
        "parts": [part for part in PARTS if getattr(data, part) is not None],
        "problem": data.problem.to_json(),
        "inputs": data.inputs.to_json(),
        "target_mean": data.target_mean,
        "target_std": data.target_std,
    }
    files.write_json(folder / DONE, content)


def _read(folder: Path) -> TrainingData:
    content = files.read_json(folder / DONE)
    train, validation, stopping = (
        # Copied on write, so that torch may take it for its own; nobody writes.
        Arrays(*(np.load(folder / f"{part}.{name}.npy", mmap_mode="c") for name in FIELDS))
        if part in content["parts"]
        else None
        for part in PARTS
    )
    assert train is not None
    return TrainingData(
        train=train,
        validation=validation,
        problem=Problem.from_json(content["problem"]),
        inputs=InputSpec.from_json(content["inputs"]),
        target_mean=content["target_mean"],
        target_std=content["target_std"],
        stopping=stopping,
    )
