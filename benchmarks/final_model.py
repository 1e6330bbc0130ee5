"""What the choices behind a final model bring in test score: tuning, ensembles, calibration and thresholds.

    python -m benchmarks.final_model [--sets wine,rare] [--seeds 3] [--only delivery]

On each set and for each seed (of the split and of all training) a small search takes 6 configs of the family mlp and
the default; the best three and the default are trained again from 3 seeds, as the stage `search_hyperband` does; then
the final model is composed as the stage `retrain` does, trained on training and validation rows, and scored on test
rows.

Gains are in points, a hundredth of the metric; of the RMSE, a hundredth of the reference's; ± is the standard error
over sets and seeds. A line is printed for each choice, made always, and made where Hone's rule makes it.
--only delivery compares the best searched config with the defaults, as `search_hyperband` does, and nothing else.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks.generated import frame
from hone import metrics, models
from hone.data import problem as problems
from hone.data import targets
from hone.data.problem import Problem
from hone.evaluation import calibration
from hone.search.replay import Score, finalists, winner
from hone.search.uniform import Uniform
from hone.seeds import derive
from hone.space import SearchSpace, identity
from hone.training.predict import load_network, predict
from hone.training.train import TrainingData, train
from hone.trial import Config, Result, State, Trial
from tasks import composition, search_hyperband, split, tables, trainables
from tasks.composition import Composition, Member
from tasks.held_out import HeldOut
from tasks.params import Params, Retrain, parse_params, search_space

Floats = NDArray[np.float64]
FAMILY, EPOCHS, N_CONFIGS, N_SEEDS, FINALISTS = "mlp", 18, 7, 3, 3
MOST_SEEDS = 8
RELATIVE = ("rmse", "mae")
DEFAULTS = Params()


def classes(**options: Any) -> Callable[[], pd.DataFrame]:
    """Return a maker of generated classes."""
    return lambda: frame(*datasets.make_classification(random_state=0, flip_y=0.05, **options))


SETS: dict[str, Callable[[], pd.DataFrame]] = {
    "breast_cancer": lambda: tables.load_sklearn("sklearn:breast_cancer")[0],
    "wine": lambda: tables.load_sklearn("sklearn:wine")[0],
    "diabetes": lambda: tables.load_sklearn("sklearn:diabetes")[0],
    "classes": classes(n_samples=800, n_features=12, n_informative=6, n_classes=4, class_sep=0.8),
    "rare": classes(n_samples=1000, n_features=12, n_informative=6, weights=[0.85], class_sep=0.8),
    "friedman1": lambda: frame(*datasets.make_friedman1(600, noise=1.0, random_state=0)),
    "skewed": lambda: _exponential(*datasets.make_friedman1(600, noise=1.0, random_state=0)),
    "heavy_tail": lambda: _exponential(
        *datasets.make_regression(600, 10, n_informative=6, noise=20.0, random_state=0)  # type: ignore[misc]
    ),
}


def _exponential(x: Floats, y: Floats) -> pd.DataFrame:
    return frame(x, np.exp(1.2 * (y - y.mean()) / y.std()))


@dataclass(frozen=True)
class Bench:
    """One set under one seed: rows, finalists, and what networks predict."""

    name: str
    seed: int

    @cached_property
    def params(self) -> Params:
        space = {"batch_size": 128, "embedding": "none"}  # for speed
        return parse_params({"seed": self.seed, "train": {"epochs": EPOCHS}, "search": {"space": space}})

    @cached_property
    def checked(self) -> split.Checked:
        return split.check_frame(SETS[self.name](), "target", self.params)

    @property
    def problem(self) -> Problem:
        return self.checked.problem

    def rows(self, *parts: str) -> pd.DataFrame:
        positions = np.concatenate([getattr(self.checked.split, part) for part in parts])
        return self.checked.frame.iloc[positions]

    def truth(self, part: str) -> NDArray[Any]:
        return problems.encode(self.problem, self.rows(part)[self.problem.target])

    @cached_property
    def search_data(self) -> TrainingData:
        return self._encoded(self.rows("train"), self.rows("validation"))

    @cached_property
    def final_data(self) -> TrainingData:
        return self._encoded(self.rows("train", "validation"), self.rows("test"))

    def _encoded(self, known: pd.DataFrame, unseen: pd.DataFrame) -> TrainingData:
        return trainables.encoded(known, unseen, self.checked.schema, self.problem, "standard")

    @cached_property
    def space(self) -> SearchSpace:
        skewed = self.problem.classes is None and targets.skewed(self.search_data.train.y)
        return models.without_idle(search_space(self.params), self.search_data.inputs, skewed)

    def trained(self, config: Config, seed: int, replicate: int = 0) -> tuple[Result, list[Floats]]:
        """Return the result of a training with early stopping, and its predictions for validation rows, by epoch."""
        settings = trainables.settings(self.params, self.problem)
        predictions: list[Floats] = []
        outcome, _ = train(
            config, FAMILY, self.search_data, settings, resource=EPOCHS, seed=seed, on_prediction=predictions.append
        )
        trial = Trial(study="replay", number=0, generation=0, config=config, resource=EPOCHS, replicate=replicate)
        return Result(trial=trial, state=outcome.state, objective=outcome.objective, curve=outcome.curve), predictions

    @property
    def found(self) -> tuple[dict[str, Any], HeldOut]:
        """Return what winner.json says where the best mean wins, and held-out predictions."""
        scores, held = self.replayed
        standings = [{"config": dict(score.config), "epochs": score.epochs} for score in scores if score.n]
        return {**standings[0], "standings": standings}, held

    @cached_property
    def replayed(self) -> tuple[tuple[Score, ...], HeldOut]:
        """Return the finalists' scores, the best first, and what their replays predict at the final model's epoch."""
        space = self.space
        asked = Uniform(study="search", space=space, seed=self.seed, budget=N_CONFIGS * EPOCHS, resource=EPOCHS)
        history: list[Any] = []
        tried: list[Result] = []
        for trial in asked.ask(history)[:N_CONFIGS]:
            tried.append(self.trained(trial.config, derive(self.seed, "search", trial.number))[0])
        configs = (space.default, *finalists(tried, FINALISTS))
        replays, predictions = list[Result](), dict[str, list[list[Floats]]]()
        for config in {identity(config): config for config in configs}.values():
            for number in range(N_SEEDS):
                result, by_epoch = self.trained(config, derive(self.seed, "replay", number), number + 1)
                replays.append(result)
                if result.state is State.COMPLETE:
                    predictions.setdefault(identity(config), []).append(by_epoch)
        scores = winner(configs, replays)
        held = {
            identity(score.config): [
                by_epoch[min(score.epochs, len(by_epoch)) - 1]
                for by_epoch in predictions.get(identity(score.config), [])
            ]
            for score in scores
        }
        return scores, HeldOut(self.problem, self.truth("validation"), None, held)

    def composed(self, **chosen: Any) -> Composition:
        return composition.compose(*self.found, Retrain(seeds=N_SEEDS, **chosen), self.seed)

    def network(self, config: Config, epochs: int, number: int) -> Floats | None:
        """Return what a final network predicts for the test rows."""
        known = self.__dict__.setdefault("_known", {})
        key = (identity(config), number)
        if key not in known:
            data = replace(self.final_data, validation=None)
            settings = trainables.settings(self.params, self.problem)
            seed = derive(self.seed, "retrain", number)
            _, checkpoint = train(config, FAMILY, data, settings, resource=epochs, seed=seed)
            known[key] = None if checkpoint is None else self._predicted(config, checkpoint.weights(), self.final_data)
        return known[key]

    def _predicted(self, config: Config, weights: Any, data: TrainingData) -> Floats:
        assert data.validation is not None
        network = load_network(FAMILY, config, data.inputs, weights)
        units = data.target_mean, data.target_std, data.transform(config)
        return predict(network, data.validation, self.problem, *units)

    def averaged(self, made_of: Composition, networks: int | None = None) -> Floats:
        """Return what a composition predicts for the test rows, before calibration. networks: of each config."""
        found, shares = list[Floats](), list[float]()
        for member in made_of.members:
            count = networks or member.networks
            for number in range(count):
                prediction = self.network(member.config, member.epochs or EPOCHS, number)
                if prediction is not None:
                    found.append(prediction)
                    shares.append(member.share / count)
        return np.asarray(np.average(found, axis=0, weights=shares))

    def gain(self, metric: str, ours: Floats, theirs: Floats) -> float:
        """Return by how many points one prediction for the test rows is better than another."""
        problem, truth = replace(self.problem, metric=metric), self.truth("test")
        after, before = (
            metrics.objective(metric, metrics.score(metric, problem, truth, one)) for one in (ours, theirs)
        )
        return 100 * (before - after) / (abs(before) if metric in RELATIVE else 1.0)


def delivery(bench: Bench) -> Iterator[tuple[str, float]]:
    """Yield what the best searched config gains over the defaults, always and where it is delivered."""
    scores, held = bench.replayed
    default = next(score for score in scores if score.config == bench.space.default)
    candidate = next((score for score in scores if score is not default), None)
    if candidate is None or not (candidate.n and default.n):
        return
    decision = search_hyperband.decide(candidate, default, held, 1, bench.seed)
    ours, theirs = (
        bench.averaged(Composition("seeds", (Member(score.config, score.epochs, N_SEEDS, 1.0),)))
        for score in (candidate, default)
    )
    gain = bench.gain(bench.problem.metric, ours, theirs)
    yield "best searched config, over the defaults", gain
    by_mean, delivered = (gain if chosen else 0.0 for chosen in (scores[0] is candidate, decision.tuned))
    yield "best mean of the replays, over the defaults", by_mean
    yield "delivered config, over the defaults", delivered
    yield "(share of runs in which the best mean is worse)", 100.0 * (by_mean < 0)
    yield "(share of runs in which what is delivered is worse)", 100.0 * (delivered < 0)
    yield "(share of runs in which a searched config is delivered)", 100.0 * decision.tuned
    if decision.tuned:
        yield "searched config where delivered, over the defaults", gain
    else:
        yield "searched config where not delivered, over the defaults", gain


def measure(bench: Bench) -> Iterator[tuple[str, float]]:
    """Yield (choice, gain in points) for one set and seed."""
    yield from delivery(bench)
    metric = bench.problem.metric
    each = {kind: bench.composed(ensemble=kind) for kind in ("seeds", "greedy")}
    predicted = {kind: bench.averaged(made_of) for kind, made_of in each.items()}
    n_networks = sum(member.networks for member in each["greedy"].members)
    yield from numbers_of_seeds(bench)
    yield "greedy ensemble, over 3 seeds", bench.gain(metric, predicted["greedy"], predicted["seeds"])
    same_cost = bench.averaged(each["seeds"], n_networks)
    yield "as many seeds of the winner, over 3 seeds", bench.gain(metric, same_cost, predicted["seeds"])
    yield "(networks of greedy)", float(n_networks)
    yield from alternatives(bench)
    if bench.problem.classes is None:
        return
    held = bench.found[1]
    seen, truth = np.mean(held.of(bench.found[0]["config"]), axis=0), held.truth
    plain = predicted["seeds"]
    always = calibration.tempered(plain, calibration.temperature(seen, truth))
    yield "temperature always: log loss", bench.gain("log_loss", always, plain)
    by_rule = calibration.tempered(plain, each["seeds"].temperature)
    yield "calibrate: true: log loss", bench.gain("log_loss", by_rule, plain)
    yield "(share of runs with a temperature)", 100.0 * (each["seeds"].temperature != 1)
    if bench.problem.positive_index is None:
        return
    for name in calibration.DECIDED:
        problem = replace(bench.problem, metric=name)
        cut = calibration.threshold(name, problem, seen, truth)
        always = calibration.for_metric(name, problem, plain, cut)
        yield f"threshold always: {name}", bench.gain(name, always, plain)
        rows = replace(held, problem=problem)
        found = composition.calibrate(rows, seen, Retrain(calibrate=False), bench.seed)
        by_rule = calibration.for_metric(name, problem, plain, found.threshold)
        yield f"threshold: true: {name}", bench.gain(name, by_rule, plain)
        yield f"(share of runs with a threshold for {name})", 100.0 * (found.threshold is not None)


def numbers_of_seeds(bench: Bench) -> Iterator[tuple[str, float]]:
    """Yield what averages over more seeds of the winner gain, on average over all choices from MOST_SEEDS."""
    winner, truth = bench.found[0], bench.truth("test")
    trained = [bench.network(winner["config"], winner["epochs"] or EPOCHS, number) for number in range(MOST_SEEDS)]
    predictions = [prediction for prediction in trained if prediction is not None]
    metric = bench.problem.metric

    def expected(count: int) -> float:
        chosen = itertools.combinations(predictions, min(count, len(predictions)))
        scores = [metrics.score(metric, bench.problem, truth, np.mean(some, axis=0)) for some in chosen]
        return float(np.mean([metrics.objective(metric, score) for score in scores]))

    scores = {count: expected(count) for count in (1, 3, 5, MOST_SEEDS)}
    for few, many in itertools.pairwise(scores):
        unit = abs(scores[few]) if metric in RELATIVE else 1.0
        yield f"average of {many} seeds, over {few}", 100 * (scores[few] - scores[many]) / unit


def alternatives(bench: Bench) -> Iterator[tuple[str, float]]:
    """Yield what the winner gains by a transform of a skewed target, and by class weights for rare classes."""
    config = bench.found[0]["config"]
    data, problem = bench.final_data, bench.problem

    def tested(changed: Config, balanced: bool = False) -> Floats:
        settings = replace(trainables.settings(bench.params, problem), balanced=balanced)
        found = []
        for number in range(N_SEEDS):
            seed = derive(bench.seed, "alternative", number)
            known = replace(data, validation=None)
            _, checkpoint = train(changed, FAMILY, known, settings, resource=EPOCHS, seed=seed)
            assert checkpoint is not None
            found.append(bench._predicted(changed, checkpoint.weights(), data))
        return np.asarray(np.mean(found, axis=0))

    if problem.classes is None and targets.skewed(data.train.y):
        plain, other = (tested({**config, targets.NAME: name}) for name in ("none", "yeo_johnson"))
        yield "target_transform: yeo_johnson, over none: rmse", bench.gain("rmse", other, plain)
        yield "target_transform: yeo_johnson, over none: mae (%)", bench.gain("mae", other, plain)
    elif problem.positive_index is not None:
        plain, other = tested(config), tested(config, balanced=True)
        for name in ("f1", "balanced_accuracy", "roc_auc", "log_loss"):
            yield f"class_weight: balanced, over none: {name}", bench.gain(name, other, plain)


def line(choice: str, values: Sequence[float]) -> str:
    """Return a choice with the mean of its values, and its standard error."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    sign = "" if choice.startswith("(") else "+"
    return f"{choice:<55} {np.mean(values):{sign}.2f} ± {error:.2f} ({len(values)} runs)"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    sets: Annotated[str, typer.Option(help=f"Of: {', '.join(SETS)}.")] = ",".join(SETS),
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 3,
    only: Annotated[str | None, typer.Option(help="delivery, or nothing for all choices.")] = None,
) -> None:
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for name in sets.split(","):
            started = time.process_time()
            for choice, value in (measure if only is None else delivery)(Bench(name, seed)):
                found.setdefault(choice, []).append(value)
                typer.echo(f"{name}, seed {seed}: {choice}: {value:.3f}", err=True)
            typer.echo(f"{name}, seed {seed}: {time.process_time() - started:.0f} s of one core", err=True)
    for choice, values in found.items():
        typer.echo(line(choice, values))


if __name__ == "__main__":
    app()
