"""Baseline, retrain, evaluate and report, on small tables with small networks and hand-made search results."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hone import metrics
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.errors import UserError
from hone.evaluation import baselines, bootstrap
from hone.search.replay import winner
from hone.trial import Config, Result, State, Trial
from tasks import (
    baseline,
    budget,
    diagnostics,
    evaluate,
    files,
    held_out,
    ingest,
    report,
    retrain,
    run_page,
    split,
    start_from,
    summary,
    trainables,
    trials,
    wording,
)
from tasks.params import Params, parse_params, search_space
from tasks.reporting import NullReporter
from tasks.stage import Stage
from tasks.tracking.entry import Entry, NullTracker

NASTY = "<script>alert('&\"`')</script>"
SEARCH = {"random": {"epochs": 2}, "bayes": {"epochs": 2}, "hyperband": {"min_epochs": 2}}
DIVERGES = {"learning_rate": 1e30, "optimizer": "sgd", "momentum": 0.9}


class Listener(NullReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.tables: dict[str, list[list[str]]] = {}
        self.messages: list[str] = []
        self.warnings: list[str] = []

    def table(self, title, columns, rows) -> None:
        self.tables[title] = [list(columns), *(list(row) for row in rows)]

    def message(self, text) -> None:
        self.messages.append(text)

    def warning(self, text) -> None:
        self.warnings.append(text)


class LastFirst(Executor):
    """Waits until nothing more is submitted for a moment, and then does the last first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Any]] = []
        self.thread: threading.Thread | None = None

    def submit(self, function, /, *args, **kwargs):
        future: Future = Future()
        self.waiting.append((future, lambda: function(*args, **kwargs)))
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self._work)
            self.thread.start()
        return future

    def _work(self) -> None:
        time.sleep(0.3)
        while self.waiting:
            future, work = self.waiting.pop()
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)


class Collector(NullTracker):
    """Keeps its entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def log(self, entry: Entry) -> None:
        self.entries.append(entry)


def table(task: str, n: int = 150) -> pd.DataFrame:
    """Return rows whose target follows from a number and a category; labels and names are as nasty as they come."""
    generator = np.random.default_rng(0)
    size, kind = generator.normal(size=n), generator.choice(["a", "b", "c"], n)
    signal = size + (kind == "b") + 0.3 * generator.normal(size=n)
    labels = {"binary": ["no", NASTY], "multiclass": ["<b>low</b>", NASTY, "1"]}
    target = 50 + 10 * signal
    if task == "noise":
        target = generator.normal(size=n)
    elif task == "coins":
        target = np.where(generator.random(n) < 1 / (1 + np.exp(-signal)), "heads", "tails")
    elif task != "regression":
        cuts = [0.5] if task == "binary" else [0.0, 1.0]
        target = np.array(labels[task], dtype=object)[np.digitize(signal, cuts)]
    noise = {f"noise {NASTY}": generator.normal(size=n), "family": np.arange(n) // 5}
    return pd.DataFrame({"size": size, "kind": kind, **noise, "target": target})


def make(root: Path, executor: Executor, task: str, **changed: Any) -> Stage:
    """Return a stage of a new project that has been split, with the search's outs in place."""
    (root / "data" / "raw").mkdir(parents=True)
    table(task).to_csv(root / "data" / "raw" / "table.csv", index=False)
    content = {
        "data": {"source": "data/raw/table.csv", "target": "target"},
        "train": {"epochs": 4},
        "search": SEARCH,
        "baseline": {"networks": 2},
        "retrain": {"seeds": 2, "ensemble": "seeds"},
        "evaluate": {"bootstrap": 100},
        "report": {"title": f"Title {NASTY}"},
        **changed,
    }
    stage = Stage(
        name="ingest",
        root=root,
        params=parse_params(content),
        fingerprint=hashlib.sha256(str(root).encode()).hexdigest(),
        pipeline="p" * 64,
        executor=executor,
        tracker=NullTracker(),
        reporter=NullReporter(),
    )
    ingest.run(stage)
    split.run(replace(stage, name="split"))
    budget.run(replace(stage, name="budget"))
    return stage


def search(stage: Stage, default: Config | None = None, tuned: Config | None = None) -> None:
    """Write what the search stages write; scores are made up, configs are from the space."""
    problem = Problem.from_json(files.read_json(stage.path("data", "split", "problem.json")))
    space = search_space(stage.params)
    generator = np.random.default_rng(0)
    default = default or space.default
    tuned = tuned or {**default, "learning_rate": 0.01}
    artifacts = stage.path("artifacts")
    for study in ("search_random", "search_bayes", "search_hyperband"):
        results = []
        for number in range(12):
            config = space.decode(generator.random(space.dimension))
            trial = Trial(study=study, number=number, generation=0, config=config, resource=4)
            curve = tuple(
                metrics.objective(problem.metric, 0.7 + 0.01 * epoch + 0.1 * generator.random()) for epoch in range(4)
            )
            results.append(Result(trial=trial, state=State.COMPLETE, objective=min(curve), curve=curve, cost=4.0))
        results[5] = Result(trial=results[5].trial, state=State.DIVERGED, cost=1.0, error=f"diverged {NASTY}")
        trials.write(artifacts / study / "trials.parquet", results, problem.metric)
        change = {
            "name": "learning_rate",
            "before": "0.0001 to 0.1",
            "after": "0.001 to 0.1",
            "reason": f"because {NASTY}",
        }
        content = {"searched": space.to_json(), "space": space.to_json(), "changes": [change]}
        files.write_json(artifacts / study / "space.json", content)
    replays = []
    for number in range(6):
        trial = Trial(
            study="replay",
            number=number,
            generation=0,
            config=tuned if number < 3 else default,
            resource=4,
            replicate=number % 3 + 1,
            origin="replay",
        )
        value = metrics.objective(problem.metric, (0.9 if number < 3 else 0.8) + 0.01 * (number % 3))
        replays.append(
            Result(trial=trial, state=State.COMPLETE, objective=value, curve=(value,) * 4, best_epoch=3, cost=4.0)
        )
    trials.write(artifacts / "search_hyperband" / "replay.parquet", replays, problem.metric)
    target = pd.read_parquet(stage.path("data", "split", "validation.parquet"))["target"]
    for replay in replays:
        noise = 0.1 * generator.random((len(target), max(1, problem.n_classes)))
        noise *= 1 if replay.trial.config == tuned else -1  # the two err to either side
        prediction = np.eye(problem.n_classes)[problems.encode(problem, target)] if problem.classes else target
        held = prediction + noise[:, 0] if problem.classes is None else (prediction + noise + 0.5) / 2
        held = held / (1 if held.ndim == 1 else held.sum(axis=1, keepdims=True))
        held_out.write(stage.path("predicted"), replay.trial.key, np.asarray(held, dtype=np.float32)[np.newaxis])
    epochs = {replay.trial.key: 3 for replay in replays}
    held_out.gather(artifacts / "search_hyperband" / "held_out.safetensors", stage.path("predicted"), epochs)

    def described(score: Any) -> dict[str, Any]:
        value = metrics.value(problem.metric, score.mean)
        return {
            "config": score.config,
            "value": value,
            "std": score.std,
            "n": score.n,
            "n_failed": 0,
            "n_rows": 40,
            "epochs": score.epochs,
        }

    scores = {json.dumps(score.config): described(score) for score in winner((tuned, default), replays)}
    first, second = scores[json.dumps(tuned)], scores[json.dumps(default)]
    edge = {
        "name": "dropout",
        "value": 0.5,
        "side": "high",
        "bound": 0.5,
        "message": f"search.space.dropout.high: {NASTY}",
    }
    content = {**first, "family": "mlp", "metric": problem.metric, "edges": [edge], "default": second}
    files.write_json(artifacts / "search_hyperband" / "winner.json", {**content, "standings": [first, second]})


def run(stage: Stage, name: str) -> Listener:
    """Run a stage and return what it said."""
    listener = Listener()
    module = {"baseline": baseline, "retrain": retrain, "evaluate": evaluate, "report": report}[name]
    module.run(replace(stage, name=name, reporter=listener))
    return listener


def summed_up(stage: Stage) -> Listener:
    """Return what is said at the end of a run."""
    listener = Listener()
    summary.show(stage.root, listener)
    return listener


def hashes(root: Path) -> dict[str, str]:
    """Return the hash of every file below artifacts."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "artifacts").rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, executor: Executor) -> Any:
    """Return a project in which the final stages have run, and what they said."""
    grouped = {"split": {"method": "grouped", "group": "family"}} if request.param == "binary" else {}
    stage = make(tmp_path_factory.mktemp(request.param), executor, request.param, **grouped)
    search(stage)
    return stage, {name: run(stage, name) for name in ("baseline", "retrain", "evaluate", "report")}


def problem_of(stage: Stage) -> Problem:
    return Problem.from_json(files.read_json(stage.path("data", "split", "problem.json")))


def test_every_baseline_has_every_metric_that_fits_and_no_time(finished: Any) -> None:
    stage, said = finished
    found, problem = files.read_json(stage.path("artifacts/baseline/metrics.json")), problem_of(stage)
    fitting = {name for name, metric in metrics.METRICS.items() if problem.task in metric.tasks}
    for model in ("dummy", "linear", "boosting", "network"):
        assert set(found[model]) == fitting
    assert found["network_runs"] == 2
    assert "second" not in json.dumps(found)
    ((title, rows),) = said["baseline"].tables.items()
    assert title == "Baselines on the validation rows; the network: mean of 2 trainings, each at its best epoch"
    assert len(rows[0]) <= 5  # 80 columns hold no more
    assert [row[0] for row in rows] == ["model", "constant", "linear", "boosting", "network, defaults"]
    assert rows[0][-1] == "time"
    better = metrics.objective(problem.metric, found["linear"][problem.metric])
    assert better < metrics.objective(problem.metric, found["dummy"][problem.metric])


def test_the_seconds_of_baselines_go_to_the_tracker(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "regression", baseline={"networks": 1})
    tracker = Collector()
    baseline.run(replace(stage, name="baseline", tracker=tracker))
    (entry,) = tracker.entries
    assert entry.key == f"{stage.pipeline}/baseline"
    names = ["seconds.boosting", "seconds.dummy", "seconds.linear", "seconds.network"]
    assert sorted(name for name, _, _ in entry.metrics) == names


def test_the_stages_write_the_same_bytes_in_another_place_and_whichever_training_ends_first(
    finished: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage, _ = finished
    before = hashes(stage.root)
    other = make(
        tmp_path_factory.mktemp("other"),
        LastFirst(),
        problem_of(stage).task,
        split=stage.params.split.model_dump(),
    )
    search(other)
    for name in ("baseline", "retrain", "evaluate", "report"):
        run(other, name)
    assert hashes(other.root) == before


def test_retrain_writes_as_many_networks_as_seeds_for_both_configs(finished: Any) -> None:
    stage, _ = finished
    for folder in ("model", "defaults"):
        networks = files.read_json(stage.path("artifacts/retrain", folder, "model.json"))["networks"]
        assert [one["weight"] for one in networks] == [0.5, 0.5]
    found = files.read_json(stage.path("artifacts/retrain/metrics.json"))
    assert found["defaults"] == {"networks": 2, "failed": 0, "epochs": 3}
    assert {name: found["model"][name] for name in ("kind", "networks", "failed", "epochs", "times_one")} == {
        "kind": "seeds",
        "networks": 2,
        "failed": 0,
        "epochs": 3,
        "times_one": 2.0,
    }
    parts = [pd.read_parquet(stage.path("data/split", f"{name}.parquet")) for name in ("train", "validation")]
    assert found["rows"] == sum(map(len, parts))


def test_an_ensemble_of_finalists_is_trained_weighed_and_told_of(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "regression", retrain={"seeds": 2, "ensemble": "greedy"})
    search(stage)
    run(stage, "baseline")
    (said,) = run(stage, "retrain").messages
    networks = files.read_json(stage.path("artifacts/retrain/model/model.json"))["networks"]
    winner = files.read_json(stage.path("artifacts/search_hyperband/winner.json"))
    configs = [one["config"] for one in winner["standings"]]
    assert [one["config"] for one in networks] == [configs[0]] * 2 + [configs[1]] * 2
    assert sum(one["weight"] for one in networks) == pytest.approx(1)
    found = files.read_json(stage.path("artifacts/retrain/metrics.json"))["model"]
    assert (found["kind"], found["networks"], found["configs"], found["times_one"]) == ("greedy", 4, 2, 4.0)
    assert said.startswith("A greedily chosen ensemble: 4 networks of 2 configs, 4.0 times the work of one")
    run(stage, "evaluate")
    run(stage, "report")
    assert said in " ".join(read_page(stage).text.split())
    assert "The delivered model is an average of 4 networks, the defaults are an average of 2" in read_page(stage).text


@pytest.mark.parametrize("left", [[], ["default"]])
def test_a_model_that_nothing_was_chosen_for_is_told_of(tmp_path: Path, executor: Executor, left: list[str]) -> None:
    stage = make(tmp_path, executor, "binary", retrain={"seeds": 1, "ensemble": "greedy"})
    search(stage)
    searched, default = stage.path("artifacts/search_hyperband"), search_space(stage.params).default
    replays = [one for one in trials.read(searched / "replay.parquet") if left and one.trial.config == default]
    held_out.gather(
        searched / "held_out.safetensors", stage.path("predicted"), {replay.trial.key: 3 for replay in replays}
    )
    said = run(stage, "retrain")
    (warning,) = said.warnings
    assert "no seed of the winner predicted all held-out rows" in warning
    assert "no ensemble, temperature or threshold" in warning
    assert said.messages[0].startswith("An average over seeds: 1 network")


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_rows_that_judge_and_that_former_weights_saw_are_told_of(
    tmp_path: Path, executor: Executor, start: str
) -> None:
    first = make(tmp_path / "first", executor, "binary", retrain={"seeds": 1})
    search(first)
    run(first, "retrain")
    source = "data/start_from/first.safetensors"
    content = start_from.content(first.root)
    (tmp_path / "second" / source).parent.mkdir(parents=True)
    (tmp_path / "second" / source).write_bytes(content)
    space = {"start": start}
    stage = make(
        tmp_path / "second",
        executor,
        "binary",
        seed=1,
        model={"start_from": source},
        retrain={"seeds": 1},
        search={**SEARCH, "space": space},
    )
    search(stage)
    run(stage, "baseline")
    run(stage, "retrain")
    run(stage, "evaluate")
    said = summed_up(stage)
    parts = {
        name: pd.read_parquet(stage.path("data", "split", f"{name}.parquet")) for name in ("sealed/test", "validation")
    }
    unsealed = [pd.read_parquet(first.path("data", "split", f"{name}.parquet")) for name in ("train", "validation")]
    old = set(pd.concat(unsealed)["size"])
    n_test, n_validation = (int(part["size"].isin(old).sum()) for part in parts.values())
    assert 0 < n_test < len(parts["sealed/test"])
    warnings = [text for text in said.warnings if text.startswith("model.start_from: ")]
    if start == "scratch":
        assert warnings == []
        return
    (warning,) = warnings
    assert f"trained on {n_test} of {len(parts['sealed/test'])} test rows (" in warning
    assert f" and {n_validation} of {len(parts['validation'])} validation rows (" in warning
    findings = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))["findings"]
    assert {"severity": "warning", "message": warning} in findings
    run(stage, "report")
    assert warning in " ".join(read_page(stage).text.split())


def test_evaluate_scores_its_own_predictions_and_pairs_the_gain(finished: Any) -> None:
    stage, _ = finished
    problem = problem_of(stage)
    table = pd.read_parquet(stage.path("artifacts/evaluate/predictions.parquet"))
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    test = pd.read_parquet(stage.path("data/split/sealed/test.parquet"))
    assert table["actual"].tolist() == test["target"].tolist()
    assert found["n_rows"] == len(test)
    if problem.classes is None:
        error = table["actual"] - table["prediction"]
        assert found["tuned"]["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    else:
        columns = [f"probability_{label}" for label in problem.classes]
        assert found["tuned"]["accuracy"] == pytest.approx((table["actual"] == table["prediction"]).mean())
        assert np.allclose(table[columns].sum(axis=1), 1)
    assert found["suspicious"] == int(found["gap"]["value"] > found["gap"]["chance"])
    for name, gain in found["gain"].items():
        sign = 1 if metrics.METRICS[name].larger_is_better else -1
        assert gain == pytest.approx(sign * (found["tuned"][name] - found["defaults"][name]))
        low, high = found["intervals"]["gain"][name]
        assert low <= high
        for model in ("tuned", "defaults"):
            low, high = found["intervals"][model][name]
            assert low <= found[model][name] <= high or name in ("r2", "log_loss", "roc_auc", "average_precision")


@pytest.mark.parametrize(("name", "kind"), [("constant", "dummy"), ("linear", "linear"), ("boosting", "boosting")])
def test_rivals_are_fitted_to_the_networks_rows_and_scored_on_the_sealed_ones(
    finished: Any, name: str, kind: str
) -> None:
    stage, _ = finished
    problem = problem_of(stage)
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    split_folder = stage.path("data/split")
    parts = [pd.read_parquet(split_folder / f"{part}.parquet") for part in ("train", "validation", "sealed/test")]
    data = trainables.encoded(
        pd.concat(parts[:2], ignore_index=True), parts[2], trainables.read_schema(split_folder), problem, "standard"
    )
    seed = evaluate.derive(stage.params.seed, "evaluate", kind)
    prediction = baselines.predict(kind, data, seed)
    scores = metrics.score_all(problem, evaluate.problems.encode(problem, parts[2]["target"]), prediction)
    for metric, score in scores.items():
        if metrics.METRICS[metric].needs != "probability":  # which are calibrated, as the network's are
            assert found[name][metric] == pytest.approx(score)
    for metric, gain in found[f"gain_over_{name}"].items():
        sign = 1 if metrics.METRICS[metric].larger_is_better else -1
        assert gain == pytest.approx(sign * (found["tuned"][metric] - found[name][metric]))
        low, high = found["intervals"][f"gain_over_{name}"][metric]
        assert low <= high
    if name == "constant" and problem.classes is None:
        assert len(np.unique(prediction)) == 1
    if name == "constant" and problem.positive_index is not None:
        assert found[name]["roc_auc"] == 0.5


def test_what_is_said_of_rivals_follows_from_their_intervals(finished: Any) -> None:
    stage, _ = finished
    metric = problem_of(stage).metric
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    for name, words in (("linear", "a linear model"), ("boosting", "gradient boosting")):
        (one,) = (
            one for one in found["findings"] if f"{words}: " in one["message"] or f"{words} did" in one["message"]
        )
        low, high = found["intervals"][f"gain_over_{name}"][metric]
        assert (one["severity"] == "warning") == (high < 0) == ("wrong tool" in one["message"])
        assert one["message"].startswith("The network beats") == (low > 0)
    first = found["findings"][0]["message"]
    gain, low = found["gain_over_constant"][metric], found["intervals"]["gain_over_constant"][metric][0]
    assert first.startswith("No better than a constant: ") == (gain <= 0)
    assert first.startswith("No proof that it is better than a constant: ") == (gain > 0 >= low)
    text = " ".join(read_page(stage).text.split())
    assert "each model was fitted anew to the network's own rows" in text
    for name in ("constant", "linear", "boosting"):
        assert name in text


def test_the_table_of_classes_is_of_the_decisions_that_are_delivered(finished: Any) -> None:
    stage, _ = finished
    problem = problem_of(stage)
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    if problem.classes is None:
        assert (found["per_class"], found["convention"]) == ([], None)
        return
    kept = pd.read_parquet(stage.path("artifacts/evaluate/predictions.parquet"))
    assert [one["class"] for one in found["per_class"]] == [str(label) for label in problem.classes]
    for one in found["per_class"]:
        actual, predicted = kept["actual"].astype(str) == one["class"], kept["prediction"].astype(str) == one["class"]
        assert one["support"] == actual.sum()
        assert one["recall"] == pytest.approx((actual & predicted).sum() / max(actual.sum(), 1))
        assert one["precision"] == pytest.approx((actual & predicted).sum() / max(predicted.sum(), 1))
    (said,) = (text for text in summed_up(stage).messages if text.startswith(found["convention"]))
    left = len(found["tuned"]) - wording.SHOWN
    assert said.removeprefix(found["convention"]) == (f" The report has {left} more metrics." if left > 0 else "")
    (rows,) = (rows for title, rows in summed_up(stage).tables.items() if title.startswith("Sealed test rows by class"))
    assert rows[0] == ["class", "precision", "recall", "F1", "support"]
    assert len(rows) == 1 + problem.n_classes


def test_probabilities_that_tuning_made_less_reliable_are_said(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(tmp_path, executor, "coins", evaluate={"bootstrap": 100})
    search(stage)
    run(stage, "baseline")

    def overconfident(folder: Path, rows: pd.DataFrame, family: str) -> evaluate.Predicted:
        shares = np.full((len(rows), 2), 0.5)
        certain = np.eye(2)[(rows["size"] > 0).astype(int)]
        return evaluate.Predicted(certain if folder.name == "model" else shares)

    monkeypatch.setattr(evaluate, "_predict", overconfident)
    monkeypatch.setattr(diagnostics, "write", lambda *_: None)  # there is no model to ask
    run(stage, "evaluate")
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    errors = found["calibration_error"]
    assert errors["tuned"] > 2 * errors["defaults"]
    (warning,) = (text for text in summed_up(stage).warnings if text.startswith("Probabilities are less reliable"))
    assert f"is {errors['tuned']:.3f} for the tuned model and {errors['defaults']:.3f} for the defaults." in warning


def test_delivered_defaults_are_the_headline_and_no_gain_is_claimed(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "regression")
    search(stage)
    path = stage.path("artifacts", "search_hyperband", "winner.json")
    content = files.read_json(path)
    default, tuned = content["default"], content["standings"][0]
    candidate = {**tuned, "difference": 0.01, "error": 0.2}
    delivered = {"delivered": "defaults", "candidate": candidate, "standings": [default, tuned]}
    files.write_json(path, {**content, **default, **delivered})
    for name in ("baseline", "retrain", "evaluate", "report"):
        run(stage, name)
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    assert found["delivered"] == "defaults"
    first, *others = (one["message"] for one in found["findings"])
    assert first == (
        "The defaults are delivered: no searched config beat them by more than its error. In the replays the best "
        "searched config did better than the defaults, with RMSE lower by 0.01000 (standard error 0.2000)."
    )
    assert not any("tun" in message.lower().replace("network", "") for message in [first, *others])
    assert first in summed_up(stage).messages
    (columns,) = (rows[0] for title, rows in summed_up(stage).tables.items() if title.startswith("Sealed test rows ("))
    assert columns == ["metric", "defaults", "delivered", "gain"]
    text = " ".join(read_page(stage).text.split())
    assert text.count(first) == 1
    assert text.count("The defaults are delivered: no searched config beat them by more than its error.") == 2
    assert "Delivered, the defaults, on sealed test rows" in text

    # The delivered model is called tuned nowhere: in the terminal, the report, nor in MLflow.
    tables = summed_up(stage).tables
    validation = next(rows for title, rows in tables.items() if title.startswith("Validation rows"))
    assert [row[0] for row in validation[-2:]] == ["network, defaults", "network, best searched"]
    assert validation[-1][1] == wording.with_std(candidate["value"], candidate["std"])
    assert text.count(f"network, best searched (mean of {candidate['n']})") >= 2  # in a figure and a table
    described = run_page.description(stage.root, stage.params)[run_page.NOTE]
    assert f"| {found['n_rows']} sealed test rows | defaults | delivered | gain |" in described
    for shown in (str(tables), described, text.split("params.yaml, as it was used")[0]):
        assert not re.search(r"\btuned\b", shown)
    assert "The winner's config" not in text
    assert json.loads(text.split("The delivered config")[1].split("}")[0] + "}") == default["config"]


def test_where_a_constant_does_as_well_that_is_the_headline_everywhere(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "noise")
    search(stage)
    for name in ("baseline", "retrain", "evaluate", "report"):
        run(stage, name)
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    assert found["intervals"]["gain_over_constant"]["rmse"][0] <= 0
    headline = found["findings"][0]
    assert headline["severity"] == "warning"
    is_ahead = found["gain_over_constant"]["rmse"] > 0
    start = "No proof that it is better than a constant: " if is_ahead else "No better than a constant: "
    assert headline["message"].startswith(start)
    assert summed_up(stage).warnings[-1] == headline["message"]  # the verdict stands just above the last table
    assert summary.read(stage.root).findings[0] == headline["message"]
    page = stage.path("artifacts/report/report.html").read_text(encoding="utf-8")
    assert re.search(rf'class="headline bad"><strong class="mark">Warning</strong> {start}', page)
    assert (
        files.read_json(stage.path("artifacts/evaluate/metrics.json"))["rivals"]["constant"]
        == found["constant"]["rmse"]
    )


def test_tuned_boosting_stands_in_every_table_under_its_own_name(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "N_TRIALS", 4)
    stage = make(tmp_path, executor, "regression", baseline={"networks": 1, "tuned": True})
    search(stage)
    said = {name: run(stage, name) for name in ("baseline", "retrain", "evaluate", "report")}
    validation = files.read_json(stage.path("artifacts/baseline/metrics.json"))
    assert validation["boosting_tuned"]["rmse"] <= validation["boosting"]["rmse"] + 1e-3
    assert files.read_json(stage.path("artifacts/baseline/boosting.json"))["tuned"]["max_iter"] > 0
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    expected = found["boosting_tuned"]["rmse"] - found["tuned"]["rmse"]
    assert found["gain_over_boosting_tuned"]["rmse"] == pytest.approx(expected)
    for listener in (said["baseline"], summed_up(stage)):
        for table in listener.tables.values():
            if any(row[0] == "boosting" for row in table):
                assert any(row[0] == "boosting, tuned" for row in table)
    text = read_page(stage).text
    page = stage.path("artifacts/report/report.html").read_text(encoding="utf-8")
    assert page.count("<td>boosting, tuned</td>") == 2  # in two tables
    assert "tuned gradient boosting" in text


def test_rivals_that_cannot_be_fitted_cost_their_comparisons_only(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make(tmp_path, executor, "regression")
    search(stage)
    run(stage, "baseline")
    run(stage, "retrain")

    def fail(*_: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(baselines, "predict", fail)
    said = run(stage, "evaluate").warnings[:3]
    assert said == [
        f"evaluate: {name} has no score: MemoryError: no room" for name in ("constant", "linear", "boosting")
    ]
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    assert not {"constant", "linear", "boosting", "gain_over_constant"} & found.keys()
    assert files.read_json(stage.path("artifacts/evaluate/metrics.json"))["rivals"].keys() == {"defaults"}
    run(stage, "report")


def test_classes_for_which_the_model_never_decides_are_named_with_the_remedy() -> None:
    problem = Problem(task="binary", target="y", metric="roc_auc", classes=("no", "yes"), positive_index=1)
    truth, never = np.array([0, 0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    params = Params()
    (said,) = evaluate._never_predicted(params, problem, truth, evaluate.Predicted(never))
    assert said["severity"] == "warning"
    assert "never predicts what some of the 4 test rows are: 'yes' (1 row)." in said["message"]
    assert "with data.metric f1 or balanced_accuracy" in said["message"]
    assert evaluate._never_predicted(params, problem, truth, evaluate.Predicted(never, threshold=0.35)) == []
    assert evaluate._never_predicted(params, problem, truth[:3], evaluate.Predicted(never[:3])) == []
    params = params.model_copy(update={"train": params.train.model_copy(update={"class_weight": "balanced"})})
    (said,) = evaluate._never_predicted(params, replace(problem, metric="f1"), truth, evaluate.Predicted(never))
    assert "data.metric" not in said["message"]
    assert "class_weight" not in said["message"]


def test_which_plots_there_are_depends_on_the_task_alone(finished: Any) -> None:
    stage, _ = finished
    names = sorted(path.name for path in stage.path("artifacts/evaluate/plots").iterdir())
    expected = ["calibration.csv", "confusion.csv", "precision_recall.csv", "roc.csv"]
    problem = problem_of(stage)
    assert names == (["residuals.csv"] if problem.classes is None else expected)
    if problem.classes is not None:
        confusion = pd.read_csv(stage.path("artifacts/evaluate/plots/confusion.csv"), dtype=str)
        assert list(confusion.columns) == ["actual", "predicted"]
        assert set(confusion["actual"]) <= {str(label) for label in problem.classes}


def test_whole_groups_are_resampled_where_the_split_is_grouped(finished: Any) -> None:
    stage, _ = finished
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    said = any("drawing whole groups" in one["message"] for one in found["findings"])
    assert said == (stage.params.split.method == "grouped")
    if said:
        rows, table = (
            pd.read_parquet(stage.path(name))
            for name in ("data/split/sealed/test.parquet", "artifacts/evaluate/predictions.parquet")
        )
        right = (table["actual"] == table["prediction"]).to_numpy()
        groups = rows["family"].to_numpy()
        seed = evaluate.derive(stage.params.seed, "evaluate")
        drawn = [
            right @ counts / counts.sum() for counts in bootstrap.resamples(len(rows), 100, seed, groups.astype(str))
        ]
        assert found["intervals"]["tuned"]["accuracy"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


def test_evaluate_leaves_its_tables_to_the_end_of_the_run_where_the_table_is_last(finished: Any) -> None:
    stage, said = finished
    assert said["evaluate"].tables == {}
    end = summed_up(stage)
    validation, *classes, rivals, sealed = end.tables.values()
    assert len(classes) == (problem_of(stage).classes is not None)
    assert rivals[0] == ["model", "score", "network's gain"]
    assert [row[0] for row in rivals[1:]] == ["constant", "linear", "boosting"]
    assert sealed[0] == ["metric", "defaults", "tuned", "gain"]
    assert re.fullmatch(r"[−\d.]+ \[[−\d.]+, [−\d.]+\]", sealed[1][2])
    models = ["model", "constant", "linear", "boosting", "network, defaults", "network, tuned"]
    assert [row[0] for row in validation] == models
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))["findings"]
    told = {*end.messages, *end.warnings}
    assert told >= {one["message"] for one in found}
    assert any("search.space.dropout.high" in message for message in told)
    assert "artifacts/report/report.html" in end.messages[-1]


class Page(HTMLParser):
    """Collects what a browser would fetch or run, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.scripts = 0
        self.text = ""
        self._raw = False

    def handle_starttag(self, tag, attributes) -> None:
        self._raw = tag in ("script", "style")
        self.scripts += tag == "script"
        for name, value in attributes:
            if name in ("src", "href", "data", "srcset") and not str(value).startswith("#"):
                self.fetched.append(str(value))
            if name == "id":
                self.ids.append(str(value))
            assert not name.startswith("on")

    def handle_endtag(self, tag) -> None:
        self._raw = False

    def handle_data(self, data) -> None:
        if not self._raw:
            self.text += data


def read_page(stage: Stage) -> Page:
    page = Page()
    page.feed(stage.path("artifacts/report/report.html").read_text(encoding="utf-8"))
    return page


def test_the_report_fetches_nothing_and_has_every_section_once(finished: Any) -> None:
    page = read_page(finished[0])
    assert page.fetched == ["run.js"]  # beside it, if anywhere
    assert len(page.ids) == len(set(page.ids))
    sections = {"result", "baselines", "test", "columns", "mistakes", "drift", "audit", "search", "trials", "learning"}
    assert sections | {"importance", "narrowing", "winner", "run", "provenance"} <= set(page.ids)
    assert {"figure-search", "figure-learning", "figure-importance", "figure-parallel"} <= set(page.ids)


def test_nothing_from_the_data_becomes_markup(finished: Any) -> None:
    stage, _ = finished
    content = stage.path("artifacts/report/report.html").read_text(encoding="utf-8")
    page = read_page(stage)
    assert NASTY not in content
    assert "<b>low" not in content
    assert page.text.count(NASTY) >= 5  # the title twice, reasons, errors, the edge: shown as they are
    assert page.scripts == 3  # the table's data, run.js, and the page's own


def test_the_report_says_what_evaluate_found(finished: Any) -> None:
    stage, _ = finished
    text = " ".join(read_page(stage).text.split())
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    for one in found["findings"]:
        assert one["message"] in text
    for name in ("0.001 to 0.1", "winner", "gradient boosting", "SHA-256"):
        assert name in text


def test_a_tuned_config_that_always_diverges_is_the_users_to_mend(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "regression")
    default = search_space(stage.params).default
    search(stage, tuned={**default, **DIVERGES})
    with pytest.raises(UserError, match=r"retrain: all 2 trainings of the tuned model failed.*not finite"):
        run(stage, "retrain")


def test_defaults_that_always_diverge_cost_the_gain_and_nothing_else(tmp_path: Path, executor: Executor) -> None:
    stage = make(tmp_path, executor, "regression")
    default = search_space(stage.params).default
    search(stage, tuned=default, default={**default, **DIVERGES})
    run(stage, "baseline")
    warnings = run(stage, "retrain").warnings
    assert len(warnings) == 2
    assert all("seed" in warning and "the default config" in warning for warning in warnings)
    run(stage, "evaluate")
    found = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))
    assert "gain" not in found
    assert "No training of the default config succeeded" in found["findings"][0]["message"]
    run(stage, "report")
    assert "No training of the default config succeeded" in read_page(stage).text


SHAKY = """
import torch
from torch import nn


class Shaky(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.linear = nn.Linear(inputs.n_num, inputs.n_outputs)
        with torch.no_grad():
            self.linear.bias += float("nan") if torch.rand(()) < 0.5 else 0.0

    def forward(self, x_num, x_cat):
        return self.linear(x_num)


def factory(inputs, config):
    return Shaky(inputs)
"""


def test_a_seed_that_diverges_is_named_and_left_out(
    tmp_path: Path, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shaky.py").write_text(SHAKY)
    monkeypatch.syspath_prepend(tmp_path)
    stage = make(
        tmp_path, executor, "regression", model={"family": "shaky:factory"}, retrain={"seeds": 6, "ensemble": "seeds"}
    )
    search(stage)
    warnings = [text for text in run(stage, "retrain").warnings if "the tuned model" in text]
    left = len(files.read_json(stage.path("artifacts/retrain/model/model.json"))["networks"])
    assert 0 < left < 6
    assert len(warnings) == 6 - left
    assert all(re.match(r"retrain: seed \d: .*not finite", text) for text in warnings)
    found = files.read_json(stage.path("artifacts/retrain/metrics.json"))
    assert (found["model"]["networks"], found["model"]["failed"]) == (left, 6 - left)
