"""Runs in Weights & Biases."""

import hashlib
import importlib.util
import math
from pathlib import Path
from typing import Any, final

from hone.errors import UserError
from tasks.tracking.entry import Entry, Tracker, as_tags

DONE = "hone_done"


@final
class WandbTracker(Tracker):
    """Records pipelines, stages and trials as runs of one project, grouped by pipeline; its files go to `folder`.

    A run's id is a hash of its key, so it is found again; a metric's points up to the last step already there are
    not logged twice. Raises UserError if wandb is not installed. Values that are not finite are left out.
    """

    def __init__(self, project: str, folder: Path) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise UserError(
                f"tracking.wandb: {project!r} needs the package wandb, which is not installed; "
                "pip install 'hone-tuning[wandb]' or leave it empty"
            )
        self._project = project
        self._folder = folder
        self._runs: dict[str, Any] = {}

    def log(self, entry: Entry) -> None:
        """Record the points that are new, and end the run with its last entry."""
        run = self._runs.get(entry.key) or self._open(entry)
        if not (entry.kind == "trial" and run.summary.get(DONE)):
            self._log(run, entry)
        if entry.kind == "trial" or entry.status != "running":
            self._runs.pop(entry.key, None)
            run.finish(exit_code=1 if entry.status in ("failed", "killed") else 0)

    def close(self) -> None:
        """Let go of runs that are still open; they go on when they are resumed."""
        while self._runs:
            self._runs.popitem()[1].finish()

    def _open(self, entry: Entry) -> Any:
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        self._runs[entry.key] = wandb.init(
            project=self._project,
            dir=self._folder,
            id=hashlib.sha256(entry.key.encode()).hexdigest()[:24],
            name=entry.name,
            group=entry.key.partition("/")[0][:12],
            job_type=entry.kind,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        return self._runs[entry.key]

    def _log(self, run: Any, entry: Entry) -> None:
        tags = {**entry.tags, **as_tags(entry.facts)}
        run.config.update({**entry.params, **{f"tags/{name}": value for name, value in tags.items()}}, True)
        last: dict[str, int] = {}
        for name, value, step in sorted(entry.metrics, key=lambda point: point[2]):
            axis = f"{name}_step"
            if name not in last:
                last[name] = int(run.summary.get(axis, -1))
                run.define_metric(name, step_metric=axis)
            if step > last[name] and math.isfinite(value):
                run.log({name: value, axis: step})
                last[name] = step
        run.summary[DONE] = entry.status in ("finished", "failed")
