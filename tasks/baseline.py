"""What tuning must beat: a constant, a linear model, boosting (tuned, if asked), the network at its defaults."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hone import metrics
from hone.data.preprocessing import Scaling
from hone.evaluation import baselines
from hone.parallel import reason, settle
from hone.seeds import derive
from hone.training.train import Settings, TrainingData, train
from hone.trial import Config, State
from tasks import files, start_from, trainables, wording
from tasks.allowance import within
from tasks.reporting import duration
from tasks.stage import Stage
from tasks.tracking.entry import Entry

SHOWN = 3  # metrics in the terminal; the file has them all


@dataclass(frozen=True)
class Score:
    """What one model got on the validation rows, in how many seconds; error: why there are no metrics.

    config: hyperparameters that were tuned for it.
    """

    metrics: Mapping[str, float]
    seconds: float
    error: str | None = None
    config: Config | None = None


@dataclass(frozen=True)
class Baseline:
    """Fits one model to the training rows of a split, in a worker, and scores it on the validation rows.

    name: one of `baselines.NAMES`, `baselines.TUNED`, or "network": the default config, trained with the seed of that
    `number`.
    start_from: the file in the project at `root` that holds the weights to start from.
    """

    split: Path
    rows: Path
    family: str
    scaling: Scaling
    settings: Settings
    default: Config
    seed: int
    name: str
    number: int = 0
    stopping: trainables.Stopping | None = None
    root: Path = Path()
    start_from: str | None = None

    def __call__(self) -> Score:
        """Return the model's score."""
        # Rows apart are for networks, which stop early by them; the other models learn from all training rows.
        stopping = self.stopping if self.name == "network" else None
        data = trainables.load(self.split, self.rows, self.scaling, None, stopping=stopping)
        started = time.perf_counter()
        seed = derive(self.seed, "baseline", self.name, self.number)
        if self.name == "network":
            scores, error = self._network(data, seed)
            return Score(scores, time.perf_counter() - started, error)
        tuned = baselines.tune(data, seed) if self.name == baselines.TUNED else None
        scores = self._classical(data, seed, tuned)
        return Score(scores, time.perf_counter() - started, config=tuned)

    def _classical(self, data: TrainingData, seed: int, tuned: Config | None) -> dict[str, float]:
        name = self.name if tuned is None else "boosting"
        return metrics.score_all(data.problem, baselines.truth(data), baselines.predict(name, data, seed, tuned))

    def _network(self, data: TrainingData, seed: int) -> tuple[dict[str, float], str | None]:
        outcome, _ = train(
            self.default,
            self.family,
            data,
            self.settings,
            resource=self.settings.epochs,
            seed=seed,
            former=start_from.former(self.root, self.start_from),
        )
        if outcome.state is not State.COMPLETE:
            return {}, outcome.error
        return {name: value for name, value in outcome.metrics.items() if name in metrics.METRICS}, None


def run(stage: Stage) -> None:
    """Write every baseline's metrics on the validation rows; times go to the terminal and the tracker only."""
    stage = within(stage)
    params = stage.params
    split = stage.path("data", "split")
    problem = trainables.read_problem(split)
    default = trainables.full_space(stage).default
    data = trainables.load(split, stage.rows, params.data.scaling, None)
    trainables.say_start(stage, data, default)
    network = Baseline(
        split=split,
        rows=stage.rows,
        family=params.model.family,
        scaling=params.data.scaling,
        settings=trainables.settings(params, problem),
        default=default,
        seed=params.seed,
        name="network",
        stopping=trainables.stopping(params),
        root=stage.root,
        start_from=params.model.start_from,
    )
    networks = [replace(network, number=number) for number in range(params.baseline.networks)]
    names = [*baselines.NAMES, *([baselines.TUNED] if params.baseline.tuned else [])]
    asked = [*networks, *(replace(network, name=name) for name in names)]
    outcomes = {(one.name, one.number): _outcome(found) for one, found in settle(_fitted, asked, stage.executor)}
    scores = {name: [outcomes[name, 0]] for name in names}
    if networks:  # in a short run it is left to the replays to say how good the defaults are
        scores["network"] = [outcomes["network", one.number] for one in networks]
    files.write_json(stage.artifact("metrics.json"), summary(scores))
    tuned = outcomes[baselines.TUNED, 0].config if params.baseline.tuned else None
    files.write_json(stage.artifact("boosting.json"), {"tuned": tuned})
    for name, tried in scores.items():
        for error in sorted({score.error for score in tried if score.error}):
            n_failed = sum(score.error == error for score in tried)
            stage.reporter.warning(
                f"baseline: {wording.model(name)} has no score in {n_failed} of {len(tried)} runs: {error}"
            )
    columns, rows = _table(scores, problem.metric)
    mean = ""
    if len(networks) > 1:
        mean = f"; the network: mean of {wording.plural(len(networks), 'training')}, each at its best epoch"
    stage.reporter.table(f"Baselines on the validation rows{mean}", columns, rows)
    seconds = tuple((f"seconds.{name}", fmean(score.seconds for score in tried), 0) for name, tried in scores.items())
    key = f"{stage.pipeline}/{stage.name}"
    stage.tracker.log(Entry(key=key, kind="stage", name=stage.name, parent=stage.pipeline, metrics=seconds))


def summary(scores: Mapping[str, Sequence[Score]]) -> dict[str, Any]:
    """Return each model's metrics, means over its runs, and the networks' standard deviations and number."""
    complete = [score for score in scores.get("network", []) if score.error is None]
    return {
        **{name: _over_runs(tried, fmean) for name, tried in scores.items()},
        "network_std": _over_runs(complete, stdev) if len(complete) > 1 else {},
        "network_runs": len(complete),
    }


def _over_runs(tried: Sequence[Score], reduce: Callable[[list[float]], float]) -> dict[str, float]:
    """Return each metric reduced over the runs that have it, without those that exist in none."""
    values: dict[str, list[float]] = {}
    for score in tried:
        for name, value in score.metrics.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    return {name: reduce(found) for name, found in values.items()}


def _fitted(asked: Baseline) -> Score:
    return asked()


def _outcome(found: Score | Exception) -> Score:
    # Running out of memory, say: a baseline less is no reason to stop.
    return Score({}, 0.0, reason(found)) if isinstance(found, Exception) else found


def _table(scores: Mapping[str, Sequence[Score]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows for the terminal: the chosen metric first, and a few others."""
    means = summary(scores)
    there = [name for name in metrics.METRICS if any(name in means[model] for model in scores)]
    names = sorted(there, key=lambda name: name != metric)[:SHOWN]
    rows = []
    for model, tried in scores.items():
        std = means["network_std"] if model == "network" else {}
        cells = [wording.with_std(means[model].get(name), std.get(name)) for name in names]
        label = "network, defaults" if model == "network" else wording.model(model)
        rows.append([label, *cells, duration(fmean(score.seconds for score in tried))])
    return ["model", *(wording.label(name) for name in names), "time"], rows
