"""The sealed rows, opened once: how good the delivered model is and how sure that is, beside its rivals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import problem as problems
from hone.data.preprocessing import Scaling
from hone.data.problem import Problem
from hone.data.rows import merged
from hone.evaluation import baselines, bootstrap, calibration, curves
from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap, gap
from hone.parallel import reason, settle
from hone.seeds import derive
from hone.trial import Config
from tasks import composition, diagnostics, files, model_store, start_from, trainables, wording
from tasks.held_out import HeldOut
from tasks.params import Params, Retrain
from tasks.stage import Stage
from tasks.trainables import read_problem
from tasks.wording import RIVALS

Floats = NDArray[np.float64]
Finding = dict[str, str]  # severity (warning or info) and message
Draw = Callable[[NDArray[np.bool_], Floats], pd.DataFrame]
KINDS = {"constant": "dummy", "linear": "linear", "boosting": "boosting", baselines.TUNED: "boosting"}
"""What `baselines.predict` calls the rivals."""
MOST_CURVES = 10  # classes drawn against the rest


@dataclass(frozen=True)
class Scores:
    """What the test rows say. models: name -> metric -> interval. gains: of "tuned" over each of the other models.

    Names are "tuned", which is the delivered model, and, where they could be trained, "defaults" and those of `RIVALS`.
    """

    models: Mapping[str, Mapping[str, Interval]]
    gains: Mapping[str, Mapping[str, Interval]]

    @property
    def tuned(self) -> Mapping[str, Interval]:
        """The tuned model's metrics."""
        return self.models["tuned"]

    @property
    def gain(self) -> Mapping[str, Interval]:
        """The gain over the defaults; empty without them."""
        return self.gains.get("defaults", {})


@dataclass(frozen=True)
class Predicted:
    """What a model predicts for rows: probabilities or values, and from which probability on the positive class."""

    prediction: Floats
    threshold: float | None = None

    def for_metric(self, metric: str, problem: Problem) -> Floats:
        """Return the prediction as a metric is to see it."""
        return calibration.for_metric(metric, problem, self.prediction, self.threshold)


@dataclass(frozen=True)
class Rival:
    """A model of `RIVALS`, fitted to training and validation rows; small to send to a worker.

    config: hyperparameters that were tuned for boosting. Like the network it is calibrated on the validation rows, by
    what was fitted to the training rows alone.
    """

    split: Path
    scaling: Scaling
    group: str | None
    retrain: Retrain
    name: str
    config: Config | None
    seed: int

    def __call__(self) -> Predicted:
        """Return predictions for the sealed rows."""
        train, validation, sealed = (
            pd.read_parquet(self.split / f"{name}.parquet") for name in ("train", "validation", "sealed/test")
        )
        problem = read_problem(self.split)
        prediction = self._predict(pd.concat([train, validation], ignore_index=True), sealed)
        if problem.classes is None:
            return Predicted(prediction)
        groups = None if self.group is None else validation[self.group].astype(str).to_numpy(dtype=str)
        rows = HeldOut(problem, problems.encode(problem, validation[problem.target]), groups, {})
        found = composition.calibrate(rows, self._predict(train, validation), self.retrain, self.seed)
        return Predicted(calibration.tempered(prediction, found.temperature), found.threshold)

    def _predict(self, rows: pd.DataFrame, unseen: pd.DataFrame) -> Floats:
        schema, problem = trainables.read_schema(self.split), read_problem(self.split)
        data = trainables.encoded(rows, unseen, schema, problem, self.scaling)
        return baselines.predict(KINDS[self.name], data, self.seed, self.config)


def run(stage: Stage) -> None:
    """Write metrics with intervals, predictions and plots of the tuned model and the defaults on the sealed rows."""
    params = stage.params.evaluate
    problem = read_problem(stage.path("data", "split"))
    rows = pd.read_parquet(stage.path("data", "split", "sealed", "test.parquet"))
    truth = problems.encode(problem, rows[problem.target])
    networks = {
        name: predicted
        for name, folder in (("tuned", "model"), ("defaults", "defaults"))
        if (predicted := _predict(stage.path("artifacts", "retrain", folder), rows, stage.params.model.family))
        is not None
    }
    predictions = {**networks, **_rivals(stage)}
    groups = _groups(stage, rows)
    scores = compare(
        problem,
        truth,
        predictions,
        n_resamples=params.bootstrap,
        confidence=params.confidence,
        seed=derive(stage.params.seed, "evaluate"),
        groups=groups,
    )
    winner = files.read_json(stage.path("artifacts", "search_hyperband", "winner.json"))
    found = gap(
        problem.metric,
        validation=winner["value"],
        validation_std=winner["std"],
        n_trainings=winner["n"],
        n_validation=winner["n_rows"],
        test=scores.tuned[problem.metric],
        n_test=len(rows),
        confidence=params.confidence,
    )
    tables = plots(problem, truth, networks)
    errors = _calibration_errors(tables)
    findings = _findings(problem.metric, scores, found, winner, len(rows), params.confidence, groups)
    if (less_reliable := _less_reliable(stage, problem, truth, networks, errors, groups, winner)) is not None:
        findings.append(less_reliable)
    findings += _never_predicted(stage.params, problem, truth, networks["tuned"])
    findings += _judged_before(stage, rows)
    diagnostics.write(stage, problem, rows, truth, networks["tuned"].prediction)
    for name, table in tables.items():
        files.write_csv(stage.artifact("plots", f"{name}.csv"), table)
    files.write_parquet(stage.artifact("predictions.parquet"), prediction_table(problem, rows, predictions))
    whole = {
        "metric": problem.metric,
        "confidence": params.confidence,
        "convention": wording.convention(problem),
        **summary(scores, found, winner, findings, errors, len(rows)),
        "per_class": _per_class(problem, truth, networks["tuned"]),
        "delivered": composition.delivered(winner),
    }
    files.write_json(stage.artifact("evaluation.json"), whole)
    files.write_json(stage.artifact("metrics.json"), small(problem.metric, scores, winner))


def compare(
    problem: Problem,
    truth: NDArray[np.generic],
    predictions: Mapping[str, Predicted],
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
    groups: NDArray[np.generic] | None = None,
) -> Scores:
    """Return every fitting metric of each model, and the gain of "tuned" over each other, with paired intervals."""
    names = [name for name, metric in metrics.METRICS.items() if problem.task in metric.tasks]
    values: dict[str, dict[str, float]] = {model: {} for model in predictions}
    drawn: dict[str, dict[str, Floats]] = {model: {} for model in predictions}
    # Labels may follow a threshold that probabilities know nothing of. The resamples are the same in both passes.
    for needs in dict.fromkeys(metrics.METRICS[name].needs for name in names):
        alike = [name for name in names if metrics.METRICS[name].needs == needs]
        seen = {model: one.for_metric(alike[0], problem) for model, one in predictions.items()}
        found = bootstrap.scores(alike, problem, truth, seen, n_resamples=n_resamples, seed=seed, groups=groups)
        for model, prediction in seen.items():
            values[model] |= {name: metrics.score(name, problem, truth, prediction) for name in alike}
            drawn[model] |= found[model]
    intervals = {
        model: {name: bootstrap.interval(values[model][name], drawn[model][name], confidence) for name in names}
        for model in predictions
    }

    def gain(name: str, other: str) -> Interval:
        ours, theirs = (values[model][name] for model in ("tuned", other))
        return bootstrap.gain(name, ours, theirs, drawn["tuned"][name], drawn[other][name], confidence)

    others = [model for model in predictions if model != "tuned"]
    return Scores(intervals, {other: {name: gain(name, other) for name in names} for other in others})


def plots(problem: Problem, truth: NDArray[Any], found: Mapping[str, Predicted]) -> dict[str, pd.DataFrame]:
    """Return the tables behind the plots by file name: confusion and curves of classes, residuals of values."""
    predictions = {model: one.prediction for model, one in found.items()}
    if problem.classes is None:
        return {"residuals": curves.residuals(truth, predictions["tuned"])}
    labels = np.array([str(label) for label in problem.classes], dtype=object)
    decided = calibration.decide(problem, predictions["tuned"], found["tuned"].threshold)
    return {
        "confusion": curves.confusion(labels[truth], labels[decided]),
        "roc": _each(problem, truth, predictions, curves.roc),
        "precision_recall": _each(problem, truth, predictions, curves.precision_recall),
        "calibration": pd.concat(
            [
                curves.calibration(*_events(problem, truth, prediction)).assign(curve=model)
                for model, prediction in predictions.items()
            ],
            ignore_index=True,
        ),
    }


def prediction_table(problem: Problem, rows: pd.DataFrame, predictions: Mapping[str, Predicted]) -> pd.DataFrame:
    """Return actual and predicted targets of every model, and the probabilities of every class, in the rows' order."""
    table: dict[str, Any] = {"actual": rows[problem.target].to_numpy()}
    for model, found in predictions.items():
        prediction = found.prediction
        prefix = "" if model == "tuned" else f"{model}_"
        if problem.classes is None:
            table[f"{prefix}prediction"] = prediction
            continue
        labels = np.array(problem.classes, dtype=object)
        table[f"{prefix}prediction"] = pd.Series(
            labels[calibration.decide(problem, prediction, found.threshold)]
        ).infer_objects()
        for code, name in enumerate(problem.classes):
            table[f"{prefix}probability_{name}"] = prediction[:, code]
    return pd.DataFrame(table)


def summary(
    scores: Scores,
    found: Gap,
    winner: Mapping[str, Any],
    findings: Sequence[Finding],
    calibration_errors: Mapping[str, float],
    n_rows: int,
) -> dict[str, Any]:
    """Return evaluation.json, all that the sealed rows say, without the table of classes."""
    rivals = {f"gain_over_{name}": scores.gains[name] for name in RIVALS if name in scores.gains}
    parts = {"defaults": {}, **scores.models, "gain": scores.gain, **rivals}
    return {
        **{part: {name: one.value for name, one in by_name.items()} for part, by_name in parts.items() if by_name},
        "intervals": {
            part: {name: [one.low, one.high] for name, one in by_name.items()} for part, by_name in parts.items()
        },
        "calibration_error": dict(calibration_errors),
        "gap": {"validation": winner["value"], "value": found.value, "chance": found.chance},
        "suspicious": int(found.suspicious),
        "n_rows": n_rows,
        "findings": list(findings),
    }


def small(metric: str, scores: Scores, winner: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics.json, the few numbers that `dvc metrics` shows and compares; all in the problem's metric."""
    test, gain = scores.tuned[metric], scores.gain.get(metric)
    return {
        "test": test.value,
        "test_low": test.low,
        "test_high": test.high,
        "gain": None if gain is None else gain.value,
        "gain_low": None if gain is None else gain.low,
        "gain_high": None if gain is None else gain.high,
        "validation": winner["value"],
        "rivals": {name: scores.models[name][metric].value for name in (*RIVALS, "defaults") if name in scores.models},
    }


def _per_class(problem: Problem, truth: NDArray[Any], found: Predicted) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and support of each class as the model decides; nothing for values."""
    if problem.classes is None:
        return []
    counted = metrics.by_class(truth, calibration.decide(problem, found.prediction, found.threshold), problem.n_classes)
    return [{"class": str(name), **one} for name, one in zip(problem.classes, counted, strict=True)]


def _calibration_errors(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return each network's expected calibration error; nothing for values. tables: see `plots`."""
    if "calibration" not in tables:
        return {}
    by_model = tables["calibration"].groupby("curve", sort=False)
    return {str(model): curves.calibration_error(part) for model, part in by_model}


def _less_reliable(
    stage: Stage,
    problem: Problem,
    truth: NDArray[Any],
    networks: Mapping[str, Predicted],
    errors: Mapping[str, float],
    groups: NDArray[np.generic] | None,
    winner: Mapping[str, Any],
) -> Finding | None:
    """Return that the tuned model's probabilities are less well calibrated than the defaults', if they are."""
    if problem.classes is None or "defaults" not in networks or not wording.is_tuned(winner) or len(truth) < 2:
        return None
    params, seed = stage.params.evaluate, derive(stage.params.seed, "evaluate")
    drawn = {
        model: curves.weighted_calibration_errors(
            *_events(problem, truth, one.prediction), bootstrap.resamples(len(truth), params.bootstrap, seed, groups)
        )
        for model, one in networks.items()
    }
    value = errors["defaults"] - errors["tuned"]
    gain = bootstrap.interval(value, drawn["defaults"] - drawn["tuned"], params.confidence)
    message = wording.calibration_sentence(wording.NAMES["tuned"], errors, gain, params.confidence)
    return None if message is None else {"severity": "warning", "message": message}


def _never_predicted(params: Params, problem: Problem, truth: NDArray[Any], model: Predicted) -> list[Finding]:
    """Return that there are classes among the test rows for which the model never decides, if there are."""
    if problem.classes is None:
        return []
    label = calibration.decide(problem, model.prediction, model.threshold)
    counts = np.bincount(truth, minlength=problem.n_classes)
    missing = np.setdiff1d(np.flatnonzero(counts), label)
    named = {str(problem.classes[code]): int(counts[code]) for code in missing}
    if not named:
        return []
    message = wording.never_predicted(
        problem,
        named,
        len(truth),
        threshold=params.retrain.threshold,
        is_balanced=params.train.class_weight == "balanced",
    )
    return [{"severity": "warning", "message": message}]


def _judged_before(stage: Stage, rows: pd.DataFrame) -> list[Finding]:
    """Return what is to be said of rows that judge and that former weights were trained on, if anything is."""
    folders = [stage.path("artifacts", "retrain", name) for name in ("model", "defaults")]
    if not (known := merged(one for folder in folders for one in model_store.former(folder))):
        return []
    validation = pd.read_parquet(stage.path("data", "split", "validation.parquet"))
    found = start_from.overlap(known, {"test": rows, "validation": validation})
    return [] if found is None else [{"severity": "warning" if found[0] else "info", "message": found[1]}]


def _rivals(stage: Stage) -> dict[str, Predicted]:
    """Return the rivals' predictions; one that fails costs its own comparison only."""
    split, params = stage.path("data", "split"), stage.params
    tuned = files.read_json(stage.path("artifacts", "baseline", "boosting.json"))["tuned"]
    asked = [
        Rival(
            split,
            params.data.scaling,
            composition.group(params),
            params.retrain,
            name,
            tuned if name == baselines.TUNED else None,
            derive(params.seed, "evaluate", KINDS[name]),
        )
        for name in RIVALS
        if name != baselines.TUNED or tuned is not None
    ]
    found: dict[str, Predicted] = {}
    for one, outcome in settle(_fitted, asked, stage.executor):
        if isinstance(outcome, Exception):
            stage.reporter.warning(f"evaluate: {wording.model(one.name)} has no score: {reason(outcome)}")
        else:
            found[one.name] = outcome
    return {name: found[name] for name in RIVALS if name in found}


def _fitted(asked: Rival) -> Predicted:
    return asked()


def _predict(folder: Path, rows: pd.DataFrame, family: str) -> Predicted | None:
    """Return what the model predicts, or None if the folder holds no model (all its trainings failed)."""
    if not (folder / "model.json").exists():
        return None
    model = model_store.load(folder, [family])
    return Predicted(model.proba(rows), model.threshold)


def _groups(stage: Stage, rows: pd.DataFrame) -> NDArray[np.generic] | None:
    group = composition.group(stage.params)
    return None if group is None else rows[group].astype(str).to_numpy(dtype=str)


def _events(problem: Problem, truth: NDArray[Any], prediction: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return what is calibrated: the positive class, or of more than two classes the most probable one."""
    if problem.positive_index is not None:
        return truth == problem.positive_index, prediction[:, problem.positive_index]
    return curves.confidence(truth, prediction)


def _each(problem: Problem, truth: NDArray[Any], predictions: Mapping[str, Floats], draw: Draw) -> pd.DataFrame:
    """Return curves of both models for the positive class, or of the tuned one for each of the commonest classes."""
    if problem.positive_index is not None:
        code = problem.positive_index
        drawn = [
            draw(truth == code, prediction[:, code]).assign(curve=model) for model, prediction in predictions.items()
        ]
    else:
        assert problem.classes is not None
        counts = np.bincount(truth, minlength=problem.n_classes)
        common = sorted(np.argsort(-counts, kind="stable")[:MOST_CURVES].tolist())
        drawn = [
            draw(truth == code, predictions["tuned"][:, code]).assign(curve=str(problem.classes[code]))
            for code in common
        ]
    # Empty curves (of a class that is not there) have no columns' types to concatenate.
    there = [table for table in drawn if len(table)]
    return pd.concat(there, ignore_index=True) if there else drawn[0]


def _findings(
    metric: str,
    scores: Scores,
    found: Gap,
    winner: Mapping[str, Any],
    n_rows: int,
    confidence: float,
    groups: NDArray[np.generic] | None,
) -> list[Finding]:
    """Return what is to be said, the verdict first."""
    said: list[Finding] = []

    def say(message: str | None, warning: bool = False) -> None:
        if message is not None:
            said.append({"severity": "warning" if warning else "info", "message": message})

    is_tuned = wording.is_tuned(winner)
    ours = wording.NAMES["tuned"] if is_tuned else wording.DELIVERED_DEFAULTS
    if (gain := scores.gains.get("constant", {}).get(metric)) is not None:
        say(wording.no_better_than_constant(metric, ours, gain, n_rows, confidence), warning=True)
    if not is_tuned:
        say(wording.defaults_delivered(winner, confidence))
    elif scores.gain:
        gain = scores.gain[metric]
        say(wording.verdict(metric, gain, n_rows, confidence), warning=wording.is_worse(gain))
    else:
        say("No training of the default config succeeded, so there is no gain to measure.", warning=True)
    if is_tuned:
        harmed = {name: one for name, one in scores.gain.items() if name != metric}
        say(wording.harm_sentence(ours, harmed, confidence), warning=True)
    say(wording.gap_sentence(metric, winner["value"], scores.tuned[metric].value, found), warning=found.suspicious)
    for name in (name for name in RIVALS if name in scores.gains and name != "constant"):
        gain = scores.gains[name][metric]
        say(wording.against(metric, ours, name, gain, n_rows, confidence), warning=wording.is_worse(gain))
    if groups is not None and (n_groups := len(np.unique(groups))) > 1:
        say(f"Intervals come from drawing whole groups ({wording.plural(n_groups, 'group')}), not rows.")
    return said
