"""What a stage's function is given: where it is, what it is to do, and who wants to know about it."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from hone import metrics
from hone.trial import Generation, Result, State
from tasks import pipeline
from tasks.allowance import Allowance
from tasks.params import Params
from tasks.reporting import Reporter
from tasks.tracking import Entry, Tracker

T = TypeVar("T")
Status = Literal["finished", "failed", "killed"]

LOGGED = {".json", ".html", ".csv"}
"""Endings of the outs that trackers are given: no tables of rows, but up to 20 sealed rows, the worst predicted."""


NUMBERS = ("metrics.json", "evaluation.json")
"""Outs whose numbers trackers show."""


class Step(Protocol):
    """Does a piece of work under a name and returns its value; a flow makes it a task of its own."""

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        """Return ``work()``."""
        ...


def plain_step(name: str, work: Callable[[], T]) -> T:
    """Return ``work()``, and nothing else."""
    return work()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of one pipeline, about to run.

    fingerprint: of everything the stage's outs depend on. pipeline: of everything the pipeline's outs depend on.
    executor: where it trains; where, and on how many workers, never changes a result. tracker, reporter and step
    watch; nothing that a stage writes may depend on them. allowed: what a stage may spend that runs within it; its
    params are then what that leaves of them. began: when the command began that runs all stages, in seconds of
    `time.monotonic`; None where each stage is a command of its own.
    """

    name: str
    root: Path
    params: Params
    fingerprint: str
    pipeline: str
    executor: Executor
    tracker: Tracker
    reporter: Reporter
    step: Step = plain_step
    allowed: Allowance | None = None
    began: float | None = None

    def path(self, *parts: str) -> Path:
        """Return a path in the project."""
        return self.root.joinpath(*parts)

    def artifact(self, *parts: str) -> Path:
        """Return a path in the folder of this stage's outs."""
        return self.root.joinpath("artifacts", self.name, *parts)

    @property
    def workdir(self) -> Path:
        """The folder for what must survive a kill; the same inputs find the same folder again."""
        return self.root / ".work" / f"{self.name}-{self.fingerprint[:16]}"

    @property
    def rows(self) -> Path:
        """The folder of rows encoded for this stage's processes; gone when it has ended well."""
        return self.workdir / "rows"

    def track_start(
        self, tags: Mapping[str, str], params: Mapping[str, str], surroundings: Mapping[str, str] | None = None
    ) -> None:
        """Tell the tracker that this stage of its pipeline begins.

        params: of the whole pipeline. surroundings: further tags, for the pipeline alone.
        """
        name = f"{self.params.data.source} {self.pipeline[:8]}"
        self.tracker.log(
            Entry(
                key=self.pipeline,
                kind="pipeline",
                name=name,
                params=dict(params),
                tags={**tags, **(surroundings or {})},
                status="running",
            )
        )
        self.tracker.log(
            Entry(
                key=self._key,
                kind="stage",
                name=self.name,
                parent=self.pipeline,
                tags={**tags, "hone.fingerprint": self.fingerprint},
                status="running",
            )
        )

    def track_generation(self, generation: Generation, so_far: Sequence[Result], metric: str) -> None:
        """Tell the tracker of a generation's trials, and of the best objective so far, on the pipeline's run.

        so_far: all results of the pipeline up to and with this generation; trials are counted as they stand there.
        """
        for result in generation.results:
            self.tracker.log(self._trial(result, metric))
        before = len(so_far) - len(generation.results)
        best = min((result.objective for result in so_far[:before]), default=math.inf)
        points = []
        for step, result in enumerate(generation.results, start=before):
            best = min(best, result.objective)
            if math.isfinite(best):
                points.append((f"best_{metric}", metrics.value(metric, best), step))
        self.tracker.log(Entry(key=self.pipeline, kind="pipeline", name="", metrics=tuple(points), status="running"))

    def track_end(
        self,
        status: Status,
        seconds: float,
        *,
        outs: Sequence[str] = (),
        record: Mapping[str, str] | None = None,
        kept: Sequence[str] = (),
    ) -> None:
        """Tell the tracker how the stage ended, and the pipeline with it until its next stage starts.

        Nobody knows which stage is the last: under `dvc repro` those below may be unchanged, or not asked for.
        Numbers in the outs that `NUMBERS` names become metrics, small outs artifacts. record and kept: tags and files,
        no outs, for the pipeline.
        """
        written = [path for out in outs for path in _files(self.root / out) if path.suffix in LOGGED]
        numbers = [path for path in written if path.name in NUMBERS]
        self.tracker.log(
            Entry(
                key=self._key,
                kind="stage",
                name=self.name,
                parent=self.pipeline,
                metrics=tuple(
                    (name, value, 0) for path in numbers for name, value in _numbers(json.loads(path.read_text()))
                ),
                files=tuple(path.relative_to(self.root).as_posix() for path in written),
                digests={path.relative_to(self.root).as_posix(): pipeline.hash_path(path) for path in written},
                status=status,
                seconds=seconds,
            )
        )
        self.tracker.log(
            Entry(
                key=self.pipeline, kind="pipeline", name="", tags=dict(record or {}), files=tuple(kept), status=status
            )
        )

    @property
    def _key(self) -> str:
        return f"{self.pipeline}/{self.name}"

    def _trial(self, result: Result, metric: str) -> Entry:
        trial = result.trial
        curve = tuple(
            (metric, metrics.value(metric, y), epoch) for epoch, y in enumerate(result.curve, 1) if math.isfinite(y)
        )
        best = (("objective", result.objective, 0),) if math.isfinite(result.objective) else ()
        return Entry(
            key=f"{self._key}/{trial.key}",
            kind="trial",
            name=trial.key,
            parent=self._key,
            params={name: str(value) for name, value in trial.config.items()},
            metrics=(*curve, *best, *((f"best_epoch.{name}", value, 0) for name, value in result.metrics.items())),
            tags={
                "hone.state": str(result.state),
                "hone.origin": trial.origin,
                "hone.generation": str(trial.generation),
                "hone.resource": str(trial.resource),
                "hone.rows": str(trial.rows),
                **({"hone.parent": trial.parent} if trial.parent else {}),
                **({"hone.folds": str(len(result.folds))} if result.folds else {}),
                **({"hone.error": result.error} if result.error else {}),
            },
            status="finished" if result.state is State.COMPLETE else "failed",
            seconds=result.seconds,
        )


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _numbers(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            yield prefix + key, float(value)
