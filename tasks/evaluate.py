"""The sealed rows, opened once: how good the tuned model is, how sure that is, and what tuning gained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.evaluation import bootstrap, curves
from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap, gap
from hone.seeds import derive
from tasks import files, model_store, wording
from tasks.stage import Stage
from tasks.trainables import read_problem

Floats = NDArray[np.float64]
Finding = dict[str, str]  # severity (warning or info) and message
Draw = Callable[[NDArray[np.bool_], Floats], pd.DataFrame]
SHOWN = 5  # metrics in the terminal; the file and the report have them all
MOST_CURVES = 10  # classes drawn against the rest


@dataclass(frozen=True)
class Scores:
    """What the test rows say. tuned, defaults, gain: metric -> interval; the last two are empty without defaults."""

    tuned: Mapping[str, Interval]
    defaults: Mapping[str, Interval]
    gain: Mapping[str, Interval]


def run(stage: Stage) -> None:
    """Write metrics with intervals, predictions and plots of the tuned model and the defaults on the sealed rows."""
    params = stage.params.evaluate
    problem = read_problem(stage.path("data", "split"))
    rows = pd.read_parquet(stage.path("data", "split", "sealed", "test.parquet"))
    truth = problems.encode(problem, rows[problem.target])
    predictions = {
        name: predicted
        for name, folder in (("tuned", "model"), ("defaults", "defaults"))
        if (predicted := _predict(stage.path("artifacts", "retrain", folder), rows)) is not None
    }
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
    findings = _findings(problem.metric, scores, found, winner, len(rows), params.confidence, groups)
    tables = plots(problem, truth, predictions)
    for name, table in tables.items():
        files.write_csv(stage.artifact("plots", f"{name}.csv"), table)
    files.write_parquet(stage.artifact("predictions.parquet"), prediction_table(problem, rows, predictions))
    files.write_json(
        stage.artifact("metrics.json"), summary(problem.metric, scores, found, winner, findings, tables, len(rows))
    )
    _report(stage, problem.metric, scores, findings, winner, len(rows))


def compare(
    problem: Problem,
    truth: NDArray[np.generic],
    predictions: Mapping[str, Floats],
    *,
    n_resamples: int,
    confidence: float,
    seed: int,
    groups: NDArray[np.generic] | None = None,
) -> Scores:
    """Return every fitting metric of each model, and the gain of "tuned" over "defaults", with paired intervals."""
    names = [name for name, metric in metrics.METRICS.items() if problem.task in metric.tasks]
    values = {model: metrics.score_all(problem, truth, prediction) for model, prediction in predictions.items()}
    drawn = bootstrap.scores(names, problem, truth, predictions, n_resamples=n_resamples, seed=seed, groups=groups)
    intervals = {
        model: {name: bootstrap.interval(values[model][name], drawn[model][name], confidence) for name in names}
        for model in predictions
    }
    gains = {}
    if "defaults" in predictions:
        gains = {
            name: bootstrap.gain(
                name,
                values["tuned"][name],
                values["defaults"][name],
                drawn["tuned"][name],
                drawn["defaults"][name],
                confidence,
            )
            for name in names
        }
    return Scores(intervals["tuned"], intervals.get("defaults", {}), gains)


def plots(problem: Problem, truth: NDArray[Any], predictions: Mapping[str, Floats]) -> dict[str, pd.DataFrame]:
    """Return the tables behind the plots by file name: confusion and curves of classes, residuals of values."""
    if problem.classes is None:
        return {"residuals": curves.residuals(truth, predictions["tuned"])}
    labels = np.array([str(label) for label in problem.classes], dtype=object)
    tuned = predictions["tuned"]
    return {
        "confusion": curves.confusion(labels[truth], labels[np.argmax(tuned, axis=1)]),
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


def prediction_table(problem: Problem, rows: pd.DataFrame, predictions: Mapping[str, Floats]) -> pd.DataFrame:
    """Return actual and predicted targets of every model, and the probabilities of every class, in the rows' order."""
    table: dict[str, Any] = {"actual": rows[problem.target].to_numpy()}
    for model, prediction in predictions.items():
        prefix = "" if model == "tuned" else f"{model}_"
        if problem.classes is None:
            table[f"{prefix}prediction"] = prediction
            continue
        labels = np.array(problem.classes, dtype=object)
        table[f"{prefix}prediction"] = pd.Series(labels[np.argmax(prediction, axis=1)]).infer_objects()
        for code, name in enumerate(problem.classes):
            table[f"{prefix}probability_{name}"] = prediction[:, code]
    return pd.DataFrame(table)


def summary(
    metric: str,
    scores: Scores,
    found: Gap,
    winner: Mapping[str, Any],
    findings: Sequence[Finding],
    tables: Mapping[str, pd.DataFrame],
    n_rows: int,
) -> dict[str, Any]:
    """Return metrics.json: numbers that `dvc metrics` compares, and in lists, which it passes over, the rest."""
    parts = {"tuned": scores.tuned, "defaults": scores.defaults, "gain": scores.gain}
    errors = {}
    if "calibration" in tables:
        errors = {
            str(model): curves.calibration_error(part)
            for model, part in tables["calibration"].groupby("curve", sort=False)
        }
    return {
        **{part: {name: one.value for name, one in by_name.items()} for part, by_name in parts.items() if by_name},
        "intervals": {
            part: {name: [one.low, one.high] for name, one in by_name.items()} for part, by_name in parts.items()
        },
        "calibration_error": errors,
        "gap": {"validation": winner["value"], "value": found.value, "chance": found.chance},
        "suspicious": int(found.suspicious),
        "n_rows": n_rows,
        "findings": list(findings),
    }


def _predict(folder: Path, rows: pd.DataFrame) -> Floats | None:
    """Return the model's probabilities or values, or None if the folder holds no model (all its trainings failed)."""
    if not (folder / "model.json").exists():
        return None
    return model_store.load(folder).proba(rows)


def _groups(stage: Stage, rows: pd.DataFrame) -> NDArray[np.generic] | None:
    split = stage.params.split
    if split.group is None or split.method not in ("auto", "grouped"):
        return None
    return rows[split.group].astype(str).to_numpy(dtype=str)


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
    said: list[Finding] = []

    def say(message: str, warning: bool = False) -> None:
        said.append({"severity": "warning" if warning else "info", "message": message})

    if scores.gain:
        gain = scores.gain[metric]
        say(wording.verdict(metric, gain, n_rows, confidence), warning=gain.high < 0)
        if harm := wording.harm_sentence({name: one for name, one in scores.gain.items() if name != metric}):
            say(harm, warning=True)
    else:
        say("No training of the default config succeeded, so there is no gain to measure.", warning=True)
    say(wording.gap_sentence(metric, winner["value"], scores.tuned[metric].value, found), warning=found.suspicious)
    if groups is not None:
        n_groups = len(np.unique(groups))
        say(f"Intervals come from drawing whole groups ({wording.plural(n_groups, 'group')}), not rows.")
    return said


def _report(
    stage: Stage, metric: str, scores: Scores, findings: Sequence[Finding], winner: Mapping[str, Any], n_rows: int
) -> None:
    reporter = stage.reporter
    confidence = f"{100 * stage.params.evaluate.confidence:g} %"
    names = [metric, *(name for name in scores.tuned if name != metric)][:SHOWN]
    rows = []
    for name in names:
        tuned, defaults, won = (part.get(name) for part in (scores.tuned, scores.defaults, scores.gain))
        rows.append([wording.label(name), _cell(defaults), _cell(tuned), _cell(won, sign=True)])
    reporter.table(
        f"Sealed test rows ({n_rows:,}), with {confidence} intervals", ["metric", "defaults", "tuned", "gain"], rows
    )
    reporter.table(f"Validation rows, {wording.label(metric)}", ["model", "score"], comparison(stage, winner, metric))
    for one in findings:
        (reporter.warning if one["severity"] == "warning" else reporter.message)(one["message"])
    for edge in winner["edges"]:
        reporter.message(edge["message"])
    reporter.message(
        "Where to look next: artifacts/report/report.html (pictures), `dvc metrics diff` (against the last commit), "
        "`hone ui` (every trial)"
    )


def comparison(stage: Stage, winner: Mapping[str, Any], metric: str) -> list[list[str]]:
    """Return rows for a table of models on the validation rows: name and score, the tuned config last."""
    baseline = files.read_json(stage.path("artifacts", "baseline", "metrics.json"))
    rows = [[name, wording.number(baseline[name].get(metric))] for name in ("dummy", "linear", "boosting")]
    # Both from the replays: the same seeds, each config at its one epoch.
    for name, score in (("network, defaults", winner["default"]), ("network, tuned", winner)):
        rows.append([name, wording.with_std(score["value"], score["std"])])
    return rows


def _cell(one: Interval | None, sign: bool = False) -> str:
    return wording.DASH if one is None else wording.with_interval(one.value, (one.low, one.high), sign)
