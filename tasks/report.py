"""One page that shows what a pipeline found: it opens offline, and equal findings give equal bytes."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation.importance import Importances, importances
from hone.seeds import derive
from hone.space import SearchSpace, identity
from hone.trial import Config, Result, State, ranked
from tasks import files, pipeline, report_figures, scoreboard, trials, wording
from tasks.params import Params
from tasks.report_page import (
    Block,
    Card,
    Cards,
    Figure,
    Fold,
    Headline,
    Matrix,
    Pair,
    Recorded,
    Scalar,
    Section,
    Sortable,
    Table,
    Text,
    Tone,
    made_of,
    render,
)
from tasks.stage import Stage
from tasks.wording import (
    DASH,
    VALIDATED,
    composed,
    decimals,
    delivered,
    is_tuned,
    label,
    model,
    networks,
    number,
    plural,
    signed,
    why_defaults,
    with_interval,
    with_std,
)

PHASES = report_figures.PHASE_NAMES
HASHED = (
    "data/split/train.parquet",
    "data/split/validation.parquet",
    "artifacts/search_hyperband/winner.json",
    "artifacts/retrain/model",
    "artifacts/evaluate/evaluation.json",
)
IDLE = {"execution", "tracking", "schedule"}  # params that cannot change a result
N_CURVES = 8
N_SLICES = 4
N_PARALLEL = 7
N_COLUMNS = 20
SHIFTED = ("validation", "test")
MOST_TRIALS = 4000
"""Rows of the table of trials: a page of more would be too large."""
MOST_BESIDE = 10
"""Classes of a confusion matrix that leaves room for a figure beside it."""
MOST_CLASSES = 20
"""Of a confusion matrix that is shown as a whole."""
MOST_SHIFTS = 12
"""Columns in the table of drift."""


@dataclass(frozen=True)
class Findings:
    """All that the stages before have written, read.

    results: of the three phases, in the order they ran. replays: of the finalists. space: the one that was searched.
    diagnostics: see `tasks.diagnostics`.
    """

    params: Params
    problem: Problem
    audit: Mapping[str, Any]
    baseline: Mapping[str, Any]
    results: Sequence[Result]
    replays: Sequence[Result]
    changes: Mapping[str, Sequence[Mapping[str, str]]]
    winner: Mapping[str, Any]
    retrained: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    diagnostics: Mapping[str, Any]
    plots: Mapping[str, pd.DataFrame]
    space: SearchSpace
    hashes: Mapping[str, str]

    @property
    def metric(self) -> str:
        """Return the metric that the search went by."""
        return self.problem.metric


def run(stage: Stage) -> None:
    """Write the page, and say where it is."""
    found = read(stage)
    files.write_text(stage.artifact("report.html"), page(found))
    stage.reporter.message(f"report: {stage.artifact('report.html').relative_to(stage.root)}")


def read(stage: Stage) -> Findings:
    """Return what the stages before have written."""
    artifacts = stage.path("artifacts")
    spaces = {study: files.read_json(artifacts / study / "space.json") for study in PHASES}
    return Findings(
        params=stage.params,
        problem=Problem.from_json(files.read_json(stage.path("data", "split", "problem.json"))),
        audit=files.read_json(stage.path("data", "split", "audit.json")),
        baseline=files.read_json(artifacts / "baseline" / "metrics.json"),
        results=[result for study in PHASES for result in trials.read(artifacts / study / "trials.parquet")],
        replays=trials.read(artifacts / "search_hyperband" / "replay.parquet"),
        changes={study: spaces[study]["changes"] for study in PHASES},
        winner=files.read_json(artifacts / "search_hyperband" / "winner.json"),
        retrained=files.read_json(artifacts / "retrain" / "metrics.json"),
        evaluation=files.read_json(artifacts / "evaluate" / "evaluation.json"),
        diagnostics=files.read_json(artifacts / "evaluate" / "diagnostics.json"),
        plots={path.stem: _read_plot(path) for path in sorted((artifacts / "evaluate" / "plots").glob("*.csv"))},
        space=SearchSpace.from_json(spaces["search_random"]["searched"]),
        hashes={name: pipeline.hash_path(stage.path(name)) for name in HASHED},
    )


def page(found: Findings) -> str:
    """Return the page as HTML."""
    mattered = importances(found.space, found.results, derive(found.params.seed, "importance"))
    sections = [
        _result(found),
        _baselines(found),
        _test(found),
        _columns(found),
        _mistakes(found),
        _drift(found),
        _audit(found),
        _search(found),
        _trials(found),
        _learning(found),
        _importance(found, mattered),
        _narrowing(found),
        _winner(found),
        _run(found),
        _provenance(found),
    ]
    rows = sum(found.audit["rows"].values())
    kinds = [column["kind"] for name, column in found.audit["columns"].items() if name != found.problem.target]
    facts = [
        f"{found.params.data.source}: {plural(rows, 'row')}, {plural(sum(k != 'dropped' for k in kinds), 'feature')}",
        f"{_task(found.problem)} of {found.problem.target}",
        f"metric: {label(found.metric)}, {_better(found.metric)} is better",
        f"family: {found.params.model.family}",
    ]
    first = found.evaluation["findings"][0]
    warning = first["severity"] == "warning"
    headline = Headline(first["message"], "bad" if warning else _tone(found), warning)
    return render(found.params.report.title, facts, headline, sections)


def _result(found: Findings) -> Section:
    metric, evaluation = found.metric, found.evaluation
    bounds = evaluation["intervals"]
    share = f"{100 * found.params.evaluate.confidence:g} %"
    gain, gained = evaluation.get("gain", {}).get(metric), bounds["gain"].get(metric)
    spent = math.fsum(result.cost for result in found.results)
    ours = "Tuned" if is_tuned(evaluation) else "Delivered, the defaults"
    cards = [
        Card(f"{ours}, on sealed test rows", *_big(evaluation["tuned"][metric], bounds["tuned"][metric], share)),
        Card(
            "Defaults, on the same rows",
            *_big(evaluation.get("defaults", {}).get(metric), bounds["defaults"].get(metric), share),
        ),
        Card("Gain", *_big(gain, gained, share, sign=True), tone=_tone(found)),
        Card("Search", plural(len(found.results), "trial"), f"budget spent: {spent:,.0f} epochs of the default config"),
    ]
    names = metrics.in_order(metric, evaluation["tuned"])
    rows = [
        [
            f"{label(name)} {'↑' if _larger(name) else '↓'}",
            *(
                with_interval(evaluation.get(part, {}).get(name), bounds[part].get(name))
                for part in ("defaults", "tuned")
            ),
            with_interval(evaluation.get("gain", {}).get(name), bounds["gain"].get(name), sign=True),
        ]
        for name in names
    ]
    table = Table(
        ["metric", "defaults", delivered(evaluation), "gain"],
        rows,
        caption=f"{plural(evaluation['n_rows'], 'sealed test row')}, {share} intervals from "
        f"{found.params.evaluate.bootstrap:,} paired bootstrap resamples. ↑ larger is better, ↓ smaller is better; "
        f"a positive gain is an improvement. {evaluation['convention'] or ''}".rstrip(),
        strong=0,
    )
    notes = [Text(one["message"], warning=one["severity"] == "warning") for one in evaluation["findings"][1:]]
    edges = [Text(edge["message"], warning=True) for edge in found.winner["edges"]]
    lead = (
        f"The delivered model is {_networks(found, 'model')}, the defaults are {_networks(found, 'defaults')}, trained "
        "on training and validation rows. No decision of this run used the test rows."
    )
    return Section("result", "Result", lead, [Cards(cards), *notes, *edges, table])


def _baselines(found: Findings) -> Section:
    metric, baseline, winner = found.metric, found.baseline, found.winner
    rows: list[tuple[str, float, float | None]] = [
        *((f"{name} ({_replays(one['n'])})", one["value"], one["std"]) for name, one in networks(winner)),
        *((model(name), baseline.get(name, {}).get(metric), None) for name in VALIDATED),
    ]
    there = sorted((row for row in rows if row[1] is not None), key=lambda row: row[1], reverse=_larger(metric))
    without_constant = [row for row in there if row[0] != model("dummy")]
    ours = "network, tuned" if is_tuned(winner) else "network, defaults"
    strong = next(place for place, row in enumerate(there) if row[0].startswith(ours))
    lead = (
        "Scores on the validation rows, which the best searched config was chosen on: its own score here is a little "
        "too good."
    )
    blocks: list[Block] = [
        Figure("baselines", [report_figures.dots(without_constant, metric)], _constant_caption(there)),
        Table(
            ["model", label(metric)],
            [[name, with_std(value, std)] for name, value, std in there],
            strong=strong,
        ),
    ]
    if rivals := _rivals(found):
        blocks.append(rivals)
    return Section("baselines", "Against baselines", lead, blocks)


def _rivals(found: Findings) -> Table | None:
    """Return what models without a network do on the sealed rows; None if none could be fitted."""
    metric, evaluation = found.metric, found.evaluation
    if (rivals := scoreboard.rivals(evaluation)) is None:
        return None
    rows = [["delivered network", scoreboard.cell(evaluation, "tuned", metric), DASH], *rivals.rows]
    caption = (
        "The sealed test rows: each model was fitted anew to the network's own rows, training and validation. "
        "A positive gain: the network is better."
    )
    return Table(["model", label(metric), "network's gain"], rows, caption=caption)


def _search(found: Findings) -> Section:
    metric = found.metric
    figure, n_cut = report_figures.search(found.results, metric)
    caption = (
        "Each dot is a trial; point at one for its number. "
        "Trials of few epochs or part of the rows are worse by nature."
    )
    if n_cut:
        caption += f" Lines at the edge: {plural(n_cut, 'trial')} that {'was' if n_cut == 1 else 'were'} worse still."
    rows = []
    for study, name in PHASES.items():
        part = [result for result in found.results if result.trial.study == study]
        complete = [result for result in part if result.state is State.COMPLETE]
        best = trials.top(complete)[0] if complete else None
        rows.append(
            [
                name,
                f"{len(part):,}",
                f"{sum(result.state is State.DIVERGED for result in part):,}",
                f"{sum(result.state is State.FAILED for result in part):,}",
                f"{math.fsum(result.cost for result in part):,.0f}",
                _range(sorted({result.trial.resource for result in part})),
                _range(sorted({round(100 * result.trial.rows) for result in part}), " %"),
                number(metrics.value(metric, best.objective)) if best else DASH,
                best.trial.origin if best else DASH,
            ]
        )
    columns = ["phase", "trials", "diverged", "failed", "budget spent", "epochs a trial", "of the rows", "best", "from"]
    errors = pd.Series([str(r.error) for r in found.results if r.error], dtype=str).value_counts(sort=False)
    blocks: list[Block] = [Figure("search", [figure], caption), Table(columns, rows)]
    if len(errors):
        worst = sorted(errors.items(), key=lambda pair: (-pair[1], str(pair[0])))[:5]
        blocks.append(
            Table(["why trials did not complete", "trials"], [[str(text), str(count)] for text, count in worst])
        )
    lead = (
        "From coarse to fine: short trials all over the space, then more of them by a model, then long ones. "
        "The budget is counted in epochs of the default config over all training rows: an epoch of a config that "
        "costs more counts more."
    )
    return Section("search", "The search", lead, blocks)


def _learning(found: Findings) -> Section:
    metric = found.metric
    hyperband = [result for result in found.results if result.trial.study == "search_hyperband"]
    chosen: dict[str, Result] = {}
    for result in trials.top(hyperband or found.results):
        chosen.setdefault(identity(result.trial.config), result)
    curves = [(_name(result), _curve(result, metric)) for result in list(chosen.values())[:N_CURVES]]
    default = identity(found.winner["default"]["config"])
    for result in found.replays:
        if identity(result.trial.config) == default and result.state is State.COMPLETE and result.curve:
            curves.append(("defaults", _curve(result, metric)))
            break
    lead = (
        "How the best configs learnt, on the validation rows. A curve ends where the training stopped early or ran out."
    )
    return Section(
        "learning", "Learning curves", lead, [Figure("learning", [report_figures.learning_curves(curves, metric)])]
    )


def _importance(found: Findings, mattered: Importances | None) -> Section:
    metric = found.metric
    if mattered is None:
        names = [name for name in found.space.names if any(name in r.trial.config for r in found.results)]
        lead = "There are too few different trials to tell which hyperparameters mattered."
    else:
        names = [one.name for one in mattered.ranking]
        first = [one.name for one in mattered.ranking if one.value > 0.01][:3]
        trust = (
            "explains nothing of the ranking of trials it has not seen: do not trust the order below"
            if mattered.explained <= 0.05
            else f"explains {100 * mattered.explained:.0f} % of the ranking of trials it has not seen"
        )
        lead = f"A random forest fitted to {plural(mattered.n_trials, 'trial')} {trust}. "
        lead += f"Most of it comes from {_listed(first)}." if first and mattered.explained > 0.05 else ""
    blocks: list[Block] = []
    if mattered is not None:
        blocks.append(Figure("importance", [report_figures.importance(mattered.ranking)]))
    if names:
        slices = report_figures.slices(found.results, names[:N_SLICES], found.space, metric)
        blocks.append(
            Figure(
                "slices",
                slices,
                "The metric against the most important hyperparameters; the worst trials are off the axis.",
            )
        )
        parallel = report_figures.parallel(found.results, names[:N_PARALLEL], found.space, metric)
        caption = (
            "A line a trial, from the first axis down; the stronger its colour, the better. At none: not in the config."
        )
        blocks.append(Figure("parallel", [parallel], caption))
    return Section("importance", "Hyperparameter importance", lead, blocks)


def _narrowing(found: Findings) -> Section:
    blocks: list[Block] = []
    following = {"search_random": "for bayes", "search_bayes": "for hyperband", "search_hyperband": "for a next search"}
    for study, changes in found.changes.items():
        rows = [[change["name"], change["before"], change["after"], change["reason"]] for change in changes]
        caption = f"After {PHASES[study]}, {following[study]}"
        if rows:
            blocks.append(Table(["hyperparameter", "before", "after", "why"], rows, caption=caption, prose=True))
        else:
            blocks.append(Text(f"{caption}: nothing was narrowed."))
    lead = (
        "Each phase hands on the part of the space where its best trials lie; "
        "a share of later proposals is still drawn from outside it."
    )
    return Section("narrowing", "How the space narrowed", lead, blocks)


def _winner(found: Findings) -> Section:
    winner, metric = found.winner, found.metric
    standings = winner["standings"]
    default = identity(winner["default"]["config"])
    tuned = is_tuned(found.evaluation)
    tried: dict[str, str] = {}
    for result in found.results:
        tried.setdefault(result.trial.identity, _name(result))  # the first: later ones continue it
    rows = [
        [
            name,
            tried.get(identity(one["config"]), DASH),
            with_std(one["value"], one["std"]) if one["value"] is not None else "failed",
            str(one["n"]),
            str(one["epochs"] or DASH),
        ]
        for name, one in zip(_places(standings, default, tuned), standings, strict=True)
    ]
    searched = winner if tuned else winner.get("candidate", winner)
    configs = [searched["config"], winner["default"]["config"]]
    hyperparameters = [name for name in found.space.names if any(name in config for config in configs)]
    compared = [[name, *(_cell(config, name) for config in configs)] for name in hyperparameters]
    folds = found.params.split.folds
    n_replays = max(one["n"] + one["n_failed"] for one in standings)
    over = f"over {plural(n_replays // max(1, folds), 'seed')}" + (f" and {plural(folds, 'fold')}" if folds else "")
    lead = f"The finalists were trained anew {over if n_replays > 1 else 'with one new seed'}. "
    if tuned:
        lead += "The best mean wins, not the luckiest run." if n_replays > 1 else "The best score wins."
    else:
        lead += f"The defaults are delivered: {why_defaults(winner)}."
    score = f"mean {label(metric)}" if any(one["n"] > 1 for one in standings) else label(metric)
    blocks: list[Block] = [
        Table(["config", "trial", score, "trainings", "epochs carried over"], rows, strong=0),
        Text(f"The final model. {composed(metric, found.retrained['model'])}"),
        Table(["hyperparameter", "winner" if tuned else "best searched", "defaults"], compared, prose=True),
    ]
    return Section("winner", "The winner", lead, blocks)


def _places(standings: Sequence[Mapping[str, Any]], default: str, tuned: bool) -> list[str]:
    """Return what the rows of the finalists are called. default: the identity of the default config.

    Searched configs are numbered in their order; the winner is the first of them.
    """
    names, number_searched = [], 0
    for place, one in enumerate(standings):
        if identity(one["config"]) == default:
            names.append("the defaults" if place else "delivered: the defaults")
            continue
        number_searched += 1
        names.append("winner" if tuned and not place else f"finalist {number_searched}")
    return names


def _test(found: Findings) -> Section:
    plots, problem = found.plots, found.problem
    lead = "The delivered model on the sealed rows."
    if "residuals" in plots:
        scatter, bars = report_figures.residuals(plots["residuals"], problem.target)
        pair = Pair([Figure("predicted", [scatter]), Figure("residuals", [bars])])
        return Section("test", "On the test rows", lead, [pair])
    ours = delivered(found.evaluation)
    drawn = ours if problem.positive_index is not None else "tuned"  # else curves are classes, called anything
    roc = report_figures.curve(plots["roc"], "false_positive_rate", "true_positive_rate", diagonal=True, ours=drawn)
    precision_recall = report_figures.curve(
        plots["precision_recall"], "recall", "precision", diagonal=False, ours=drawn
    )
    errors = found.evaluation["calibration_error"]
    event = str(problem.positive) if problem.positive_index is not None else "the most probable class"
    caption = f"The probability given to {event} against how often it was right. Expected calibration error: "
    named = {name: ours if name == "tuned" else name for name in sorted(errors, reverse=True)}
    caption += ", ".join(f"{text} {number(errors[name], 3)}" for name, text in named.items()) + "."
    calibration = Figure("calibration", [report_figures.calibration(plots["calibration"], ours)], caption)
    confusion, wide = _confusion(found), (problem.n_classes > MOST_BESIDE)
    blocks: list[Block] = [
        _per_class(found),
        *([confusion, calibration] if wide else [Pair([confusion, calibration])]),
        Pair([Figure("roc", [roc]), Figure("precision-recall", [precision_recall])]),
    ]
    if problem.positive_index is None:
        lead += " Curves show one class against the rest."
    return Section("test", "On the test rows", lead, blocks)


def _per_class(found: Findings) -> Table:
    classes = scoreboard.by_class(found.evaluation, most=None)
    rows = [] if classes is None else list(classes.rows)
    caption = "Of each class: the share of its predictions that are right, the share of its rows that are found."
    return Table(["class", "precision", "recall", "F1", "rows"], rows, caption=caption)


def _confusion(found: Findings) -> Matrix | Table:
    """Return the confusion matrix; of many classes, the commonest confusions."""
    labels = [str(one) for one in found.problem.classes or ()]
    pairs = found.plots["confusion"]
    if len(labels) > MOST_CLASSES:
        wrong = Counter(one for one in zip(pairs["actual"], pairs["predicted"], strict=True) if one[0] != one[1])
        worst = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:MOST_CLASSES]
        rows = [[actual, predicted, f"{count:,}"] for (actual, predicted), count in worst]
        return Table(["actual", "predicted", "rows"], rows, caption="The commonest confusions")
    counts = pd.crosstab(pairs["actual"], pairs["predicted"]).reindex(index=labels, columns=labels, fill_value=0)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    return Matrix(
        "confusion",
        [report_figures.short(one) for one in labels],
        counts.to_numpy().tolist(),
        shares.to_numpy().tolist(),
        "Rows counted; the colour is the share of the actual class.",
    )


def _columns(found: Findings) -> Section:
    """Return which columns the delivered model goes by."""
    seen, metric = found.diagnostics["importance"], found.metric
    if not seen["columns"]:
        why = "Pictures are one column" if not seen["of"] else f"{label(metric)} is undefined on these rows"
        return Section("columns", "Feature importance", f"{why}, so none can be compared with another.", [])
    lead = (
        f"How much worse {label(metric)} gets when a column's values are shuffled between "
        f"{plural(seen['rows'], 'sealed row')}; the mean and the deviation of {seen['repeats']} shuffles. "
        "Columns that say the same share what they bring."
    )
    if (left := seen["of"] - len(seen["columns"])) > 0:
        lead += f" Not shuffled: {plural(left, 'column')} that tell least about the predictions."
    shown = [(one["column"], one["loss"], one["deviation"]) for one in seen["columns"][:N_COLUMNS]]
    figure = report_figures.bars(shown, f"how much worse {label(metric)} gets when shuffled")
    caption = "" if len(seen["columns"]) <= N_COLUMNS else f"The first {N_COLUMNS} of {len(seen['columns'])} columns."
    return Section("columns", "Feature importance", lead, [Figure("columns", [figure], caption)])


def _mistakes(found: Findings) -> Section:
    """Return the sealed rows that the delivered model got most wrong."""
    seen = found.diagnostics["mistakes"]
    title = "The worst mistakes"
    if not seen["rows"]:
        return Section("mistakes", title, "Every sealed row was predicted right.", [])
    values = [[DASH if value is None else _shortened(value) for value in one["values"]] for one in seen["rows"]]
    if found.problem.classes is None:
        columns = ["row", "actual", "predicted", "residual"]
        places = decimals(0.0, min(abs(one["residual"]) for one in seen["rows"]))
        keys = [
            [number(one["actual"], places), number(one["predicted"], places), signed(one["residual"], places)]
            for one in seen["rows"]
        ]
        lead = (
            "The sealed rows with the largest residuals (actual minus predicted). Look for wrong values, and for what "
            "these rows share."
        )
    else:
        columns = ["row", "actual", "predicted"]
        keys = [
            [
                f"{_shortened(one['actual'])} ({number(one['of_actual'], 3)})",
                f"{_shortened(one['predicted'])} ({number(one['probability'], 3)})",
            ]
            for one in seen["rows"]
        ]
        lead = (
            "The sealed rows whose class was predicted wrongly, first those whose actual class was given the least "
            "probability, which stands in brackets. Look for wrong labels, and for what these rows share."
        )
    rows = [[f"{one['row']:,}", *key, *value] for one, key, value in zip(seen["rows"], keys, values, strict=True)]
    caption = "Rows are counted from 1 in the raw table, without its header; beside them the columns that matter most."
    if not found.diagnostics["importance"]["of"]:
        caption = "Pictures are counted from 1 in the order of their paths, without those that cannot be read."
    return Section("mistakes", title, lead, [Table([*columns, *seen["columns"]], rows, caption, prose=True)])


def _drift(found: Findings) -> Section:
    """Return how different the parts of the table are, column by column."""
    seen = found.diagnostics["drift"]
    beyond = {part: [one["column"] for one in seen if one[part] > one[f"{part}_chance"]] for part in SHIFTED}
    worst = sorted(seen, key=lambda one: -max(one[part] - one[f"{part}_chance"] for part in SHIFTED))[:MOST_SHIFTS]
    rows = [
        [
            one["column"],
            *(
                f"{number(one[part], 3)} (chance {number(one[f'{part}_chance'], 3)})"
                + (" beyond chance" if one[part] > one[f"{part}_chance"] else "")
                for part in SHIFTED
            ),
        ]
        for one in worst
    ]
    lead = (
        "How far each column of the validation and the test rows is from the training rows, from 0 (alike) to 1 "
        "(nothing in common): Kolmogorov–Smirnov for numbers, total variation for levels. Chance stays below its "
        "limits in 95 of 100 tables, all columns together. The test rows were compared after every decision."
    )
    at_random = not found.audit["method"].startswith(("time", "grouped"))
    if not at_random:
        lead += " The limits hold for rows dealt at random; parts that are split by time or groups differ more."
    texts = [
        Text(f"The {part} rows differ from the training rows by more than chance in {_some(names)}.", warning=at_random)
        for part, names in beyond.items()
        if names
    ]
    text = "" if texts else " Found: no column beyond what chance explains."
    caption = "" if len(worst) == len(seen) else f"The {len(worst)} of {plural(len(seen), 'column')} that differ most"
    table = Table(["column", *SHIFTED], rows, caption=caption)
    return Section("drift", "Drift between the parts", lead + text, [*texts, table])


def _trials(found: Findings) -> Section:
    """Return every trial as a row that can be sorted."""
    metric = found.metric
    names = [name for name in found.space.names if any(name in r.trial.config for r in found.results)]
    shown = found.results
    note = f"{plural(len(shown), 'trial')}; click a column to sort by it."
    if len(shown) > MOST_TRIALS:
        shown = [*ranked(shown), *(r for r in shown if r.state is not State.COMPLETE)][:MOST_TRIALS]
        note = f"The best {MOST_TRIALS:,} of {plural(len(found.results), 'trial')}; click a column to sort by it."
    rows = [_trial(result, names, metric) for result in shown]
    columns = ["phase", "trial", label(metric), "epochs", "rows, %", "state", "origin", *names]
    lead = (
        f"All that was tried. {_better(metric).capitalize()} {label(metric)} is better; compare trials of equal epochs "
        "and rows. The whole of each, with its learning curve, is in artifacts/search_*/trials.parquet."
    )
    return Section("trials", "Trials", lead, [Sortable("trials-table", columns, rows, note)])


def _trial(result: Result, names: Sequence[str], metric: str) -> list[Scalar]:
    trial = result.trial
    complete = result.state is State.COMPLETE and math.isfinite(result.objective)
    score = _rounded(metrics.value(metric, result.objective)) if complete else None
    config = [_rounded(trial.config.get(name)) for name in names]
    phase = PHASES.get(trial.study, trial.study)
    share = _rounded(100 * trial.rows)
    return [phase, trial.number, score, trial.resource, share, str(result.state), trial.origin, *config]


def _rounded(value: Scalar | bool) -> Scalar:
    if isinstance(value, bool):
        return str(value).lower()
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _run(found: Findings) -> Section:
    """Return what is no function of data and params: it lies beside the page."""
    lead = (
        "The time and the commit of each stage, when it ran on these inputs in this project. They differ from run to "
        "run, so they come from a file beside this page, run.js."
    )
    return Section("run", "The run", lead, [Recorded(made_of(found.hashes))])


def _audit(found: Findings) -> Section:
    audit = found.audit
    parts = ["train", "validation", "test"]
    rows = [["all", *(f"{audit['rows'][part]:,}" for part in parts)]]
    shown = list((audit["classes"] or {}).items())
    rows += [[f"class {name}", *(f"{counts[part]:,}" for part in parts)] for name, counts in shown[:20]]
    warnings = [one for one in audit["findings"] if one["severity"] == "warning"]
    notes = [one for one in audit["findings"] if one["severity"] != "warning"]
    blocks: list[Block] = [Text(_sentence(one["message"]), warning=True) for one in warnings]
    blocks += [Text(_sentence(one["message"])) for one in notes]
    more = f"; the first 20 of {len(shown)} classes" if len(shown) > 20 else ""
    blocks.append(Table(["rows", *parts], rows, caption=f"The split: {audit['method']}{more}"))
    columns = [[name, column["kind"], column["reason"]] for name, column in audit["columns"].items()]
    text = "\n".join(f"{name:<32} {kind:<12} {reason or ''}".rstrip() for name, kind, reason in columns)
    blocks.append(Fold(f"How each of the {plural(len(columns), 'column')} was read", text))
    lead = _sentence(wording.audited(audit, "below", "before you trust a score"))
    return Section("audit", "Data audit", lead, blocks)


def _provenance(found: Findings) -> Section:
    params = {name: section for name, section in found.params.model_dump(mode="json").items() if name not in IDLE}
    hashes = found.hashes.items()
    blocks: list[Block] = [
        Table(["made from", "SHA-256, first 16 digits"], [[name, digest[:16]] for name, digest in hashes], prose=True),
        Fold("params.yaml, as it was used", yaml.safe_dump(params, sort_keys=False, allow_unicode=True)),
        Fold("The delivered config", json.dumps(found.winner["config"], indent=2, sort_keys=True)),
    ]
    lead = "The same data, code and params give this page again, byte for byte."
    return Section("provenance", "Provenance", lead, blocks)


def _tone(found: Findings) -> Tone:
    """Return whether tuning helped or harmed beyond doubt."""
    low, high = found.evaluation["intervals"]["gain"].get(found.metric) or (None, None)
    if low is None or high is None or low <= 0 <= high:
        return "plain"
    return "good" if low > 0 else "bad"


def _read_plot(path: Path) -> pd.DataFrame:
    # Labels are text, also those that look like numbers or like a missing value.
    kinds = {"actual": str, "predicted": str, "curve": str} if path.stem == "confusion" else {"curve": str}
    return pd.read_csv(path, dtype=kinds, keep_default_na=False)


def _big(value: float | None, bounds: Sequence[float | None] | None, share: str, sign: bool = False) -> tuple[str, str]:
    low, high = bounds or (None, None)
    places = decimals(low, high, None if sign else value)
    write = signed if sign else number
    return write(value, places), f"{write(low, places)} to {write(high, places)} ({share})"


def _constant_caption(rows: Sequence[tuple[str, float, float | None]]) -> str:
    texts = ["Bars are standard deviations over replays."] if any(std for *_, std in rows) else []
    constant = next((value for name, value, _ in rows if name == "constant"), None)
    texts += [] if constant is None else [f"Not drawn: the constant, at {number(constant)}."]
    return " ".join(texts)


def _replays(count: int) -> str:
    return "one replay" if count == 1 else f"mean of {count}"


def _networks(found: Findings, name: str) -> str:
    count = found.retrained[name]["networks"]
    return "one network" if count == 1 else f"an average of {count} networks"


def _task(problem: Problem) -> str:
    kinds = {"binary": "binary classification", "multiclass": f"classification in {problem.n_classes} classes"}
    return kinds.get(problem.task, problem.task)


def _better(metric: str) -> str:
    return "larger" if _larger(metric) else "smaller"


def _larger(metric: str) -> bool:
    return metrics.METRICS[metric].larger_is_better


def _name(result: Result) -> str:
    return f"{PHASES.get(result.trial.study, result.trial.study)} {result.trial.number}"


def _curve(result: Result, metric: str) -> list[float]:
    return [metrics.value(metric, objective) for objective in result.curve]


def _cell(config: Config, name: str) -> str:
    value = config.get(name)
    return DASH if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(values: Sequence[int], unit: str = "") -> str:
    if not values:
        return DASH
    return f"{values[0]}{unit}" if len(values) == 1 else f"{values[0]} to {values[-1]}{unit}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(text: str) -> str:
    # A key, such as search.space, and a column's name in quotes are to be copied: they keep their letters.
    word = text.split(" ", 1)[0].rstrip(",:;")
    start = text[:1].upper() if word.isalpha() else text[:1]
    return f"{start}{text[1:]}" + ("" if text.endswith(".") else ".")


def _some(names: Sequence[str], most: int = 5) -> str:
    """Return some of the names, and how many more there are."""
    if len(names) <= most:
        return _listed(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def _shortened(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
