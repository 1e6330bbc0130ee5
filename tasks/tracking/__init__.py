"""Tracking: what happened, told to MLflow, TensorBoard and Weights & Biases. Importing it imports none of them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.tracking.entry import Dataset, Entry, Fanout, NullTracker, RefusedError, Tracker, WithoutTrials
from tasks.tracking.mlflow import MlflowTracker
from tasks.tracking.spool import SpoolingTracker, ignore, read
from tasks.tracking.tensorboard import TensorBoardTracker
from tasks.tracking.wandb import WandbTracker

if TYPE_CHECKING:
    from tasks.params import Tracking

__all__ = [
    "MLFLOW",
    "OFF",
    "Dataset",
    "Entry",
    "Fanout",
    "MlflowTracker",
    "NullTracker",
    "RefusedError",
    "SpoolingTracker",
    "TensorBoardTracker",
    "Tracker",
    "WandbTracker",
    "WithoutTrials",
    "names",
    "open_tracker",
    "waiting",
]
OFF = "none"
MLFLOW, TENSORBOARD, WANDB = "mlflow", "tensorboard", "wandb"
SPOOL = ".work/spool"
PATIENCE = 30.0


def waiting(root: Path) -> dict[str, int]:
    """Return how many entries wait in the project's spool, by the name of their tracker."""
    counts = {file.stem: len(read(file)) for file in sorted((root / SPOOL).glob("*.jsonl"))}
    return {name: count for name, count in counts.items() if count}


def names(tracking: "Tracking") -> set[str]:
    """Return the names of the trackers that params ask for."""
    asked = {MLFLOW: tracking.uri != OFF, TENSORBOARD: tracking.tensorboard, WANDB: tracking.wandb is not None}
    return {name for name, wanted in asked.items() if wanted}


def open_tracker(
    root: Path, tracking: "Tracking", warn: Callable[[str], None] = ignore, patience: float = PATIENCE
) -> Tracker:
    """Return a tracker for the project at `root` that never blocks and never raises what a store raises.

    What waits in .work/spool/ from before is sent at once. `uri: none` leaves MLflow out.
    warn: called with one line, from another thread, when something cannot be sent. patience: see `SpoolingTracker`.
    Raises UserError if a URI is malformed or a package is not installed.
    """
    sinks: dict[str, Tracker] = {}
    if tracking.uri != OFF:
        sinks[MLFLOW] = MlflowTracker(root, tracking.uri, tracking.experiment)
    if tracking.tensorboard:
        sinks[TENSORBOARD] = TensorBoardTracker(root / ".work" / "tensorboard")
    if tracking.wandb is not None:
        sinks[WANDB] = WandbTracker(tracking.wandb, root / ".work" / "wandb")
    trackers = [
        SpoolingTracker(sink, root / SPOOL / f"{name}.jsonl", name=name, warn=warn, patience=patience)
        for name, sink in sinks.items()
    ]
    everything = Fanout(trackers) if trackers else NullTracker()
    return everything if tracking.trials else WithoutTrials(everything)
