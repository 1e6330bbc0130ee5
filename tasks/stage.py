"""What a stage's function is given: where it is, what it is to do, and who wants to know about it."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from hone import metrics
from hone.trial import Generation, Result, State, Trial
from tasks import files, pipeline
from tasks.allowance import Allowance
from tasks.params import Params
from tasks.reporting import Reporter
from tasks.run_page import Page, numbers
from tasks.tracking import Entry, Tracker, views

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
        self,
        tags: Mapping[str, str],
        params: Mapping[str, str],
        who: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell the tracker that this stage of its pipeline begins.

        params: of the whole pipeline. who: further tags, for the pipeline alone. facts: what the pipeline is made from.
        """
        name = f"{self.params.data.source} {self.pipeline[:8]}"
        self.tracker.log(
            Entry(
                key=self.pipeline,
                kind="pipeline",
                name=name,
                params=dict(params),
                tags={**tags, **(who or {})},
                facts=dict(facts or {}),
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
            self.tracker.log(self._trial(result, metric, so_far))
        before = len(so_far) - len(generation.results)
        best = min((result.objective for result in so_far[:before]), default=math.inf)
        points = []
        for step, result in enumerate(generation.results, start=before):
            best = min(best, result.objective)
            if math.isfinite(best):
                points.append((views.best(metric), metrics.value(metric, best), step))
        lower = not metrics.METRICS[metric].larger_is_better
        configs = [result.trial.config for result in so_far]
        view = views.trials_view(self.pipeline, metric, configs, lower_is_better=lower)
        self.tracker.log(
            Entry(
                key=self.pipeline,
                kind="pipeline",
                name="",
                metrics=tuple(points),
                views={views.trials_key(self.pipeline): view},
                status="running",
            )
        )

    def track_end(self, status: Status, seconds: float, *, outs: Sequence[str] = (), page: Page | None = None) -> None:
        """Tell the tracker how the stage ended, and the pipeline with it until its next stage starts.

        Nobody knows which stage is the last: under `dvc repro` those below may be unchanged, or not asked for.
        Numbers in the outs that `NUMBERS` names become metrics, small outs artifacts. page: what the pipeline's run
        is to show from now on.
        """
        written = [path for out in outs for path in _files(self.root / out) if path.suffix in LOGGED]
        read = [path for path in written if path.name in NUMBERS]
        page = Page() if page is None else page
        self.tracker.log(
            Entry(
                key=self._key,
                kind="stage",
                name=self.name,
                parent=self.pipeline,
                metrics=tuple((name, value, 0) for path in read for name, value in numbers(files.read_json(path))),
                files=tuple(path.relative_to(self.root).as_posix() for path in written),
                digests={path.relative_to(self.root).as_posix(): pipeline.hash_path(path) for path in written},
                status=status,
                seconds=seconds,
            )
        )
        self.tracker.log(
            Entry(
                key=self.pipeline,
                kind="pipeline",
                name="",
                metrics=page.scores,
                tags=page.tags,
                files=page.files,
                digests={name: pipeline.hash_path(self.root / name) for name in page.files},
                facts=page.facts,
                datasets=page.datasets,
                status=status,
            )
        )

    @property
    def _key(self) -> str:
        return f"{self.pipeline}/{self.name}"

    def _trial(self, result: Result, metric: str, so_far: Sequence[Result]) -> Entry:
        trial = result.trial
        curves = {metric: [metrics.value(metric, y) for y in result.curve], views.LOSS: result.losses}
        points = [
            (name, value, epoch)
            for name, curve in curves.items()
            for epoch, value in enumerate(curve, 1)
            if math.isfinite(value)
        ]
        if math.isfinite(result.objective):
            points.append((views.best(metric), metrics.value(metric, result.objective), 0))
        return Entry(
            key=f"{self._key}/{trial.key}",
            kind="trial",
            name=shown(trial, so_far),
            parent=self._key,
            params={name: str(value) for name, value in trial.config.items()},
            metrics=(*points, *((f"best_epoch.{name}", value, 0) for name, value in result.metrics.items())),
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


def shown(trial: Trial, so_far: Sequence[Result]) -> str:
    """Return a trial's name as people read it, e.g. "bayes 12" or "replay: defaults, seed 2".

    so_far: results of the pipeline up to this trial; a replay is named after the first that had its config.
    """
    if trial.origin != "replay":
        return f"{trial.study.removeprefix('search_')} {trial.number}"
    former = (each.trial for each in so_far if each.trial.identity == trial.identity and each.trial.origin != "replay")
    first = next(former, None)
    # The defaults are always among the finalists, also if no phase has tried them.
    name = "defaults" if first is None or first.origin == "default" else shown(first, ())
    fold = "" if trial.fold is None else f", fold {trial.fold}"
    return f"replay: {name}, seed {trial.replicate}{fold}"


def _files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
