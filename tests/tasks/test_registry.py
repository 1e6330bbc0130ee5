"""The registry: champion and challenger on the same sealed rows, in a real MLflow database."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from flows import cli
from hone import metrics
from hone.data import preprocessing
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.rows import Marks, Seen, packed
from hone.data.schema import Column, Schema
from hone.errors import UserError
from hone.evaluation import bootstrap
from hone.models import build, default_space
from hone.training.train import Settings, TrainingData, train
from tasks import champions, model_store, registry, wording
from tasks.params import Params, Tracking
from tasks.registry import Candidate, Published
from tasks.tracking import Entry, MlflowTracker
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import resolve
from tests.flows.editing import HERE
from tests.tasks import small_model
from tests.tasks.small_model import raw_rows

SEALED = raw_rows(9)
TAGS = {"hone.data_hash": "d1", "hone.git_commit": "c1"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, float]]:
    """Return three models with their scores: "good" is better than "near" by chance, and than "bad" beyond that."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for name, seed in {"bad": 8, "near": 13, "good": 14}.items():
        model = small_model.write(folder / name, "binary", seed)
        predictor = model_store.load(model)
        truth = problems.encode(predictor.problem, SEALED["left"])
        found[name] = model, metrics.score("roc_auc", predictor.problem, truth, predictor.proba(SEALED))
    assert found["good"][1] > found["near"][1] > found["bad"][1] + 0.2
    return found


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    source, target = sqlite3.connect(empty_database), sqlite3.connect(tmp_path / "mlflow.db")
    source.backup(target)
    source.close()
    target.close()
    return tmp_path


Publish = Callable[..., Published | None]
QUICK = Params.model_validate({"evaluate": {"bootstrap": 200}})


def submit(
    root: Path,
    pipeline: str,
    model: Path,
    rows: pd.DataFrame,
    scores: dict[str, float],
    warn: Callable[[str], None] = lambda _: None,
    *,
    sealed: str = "s1",
    settings: Params = QUICK,
    tags: dict[str, str] = TAGS,
    example: pd.DataFrame | None = None,
    **evaluation: object,
) -> Published | None:
    """Publish a model with these scores on these sealed rows."""
    metric = model_store.load(model).problem.metric
    content = {"tuned": scores, "intervals": {"tuned": {metric: [scores[metric] - 0.1, scores[metric] + 0.1]}}}
    candidate = Candidate(
        pipeline=pipeline, model=model, sealed=sealed, evaluation={**content, **evaluation}, tags=tags
    )
    example = raw_rows() if example is None else example
    return registry.publish(root, settings, candidate, rows=rows, example=example, warn=warn)


@pytest.fixture
def publish(root: Path, models: dict[str, tuple[Path, float]]) -> Publish:
    """Return a function that publishes the model of a name for a pipeline; warnings are its attribute."""

    def call(
        pipeline: str, name: str, rows: pd.DataFrame = SEALED, score: float | None = None, **more
    ) -> Published | None:
        model, own = models[name]
        scores = {"roc_auc": own if score is None else score, "accuracy": 0.5}
        return submit(root, pipeline, model, rows, scores, call.warnings.append, **more)

    call.warnings = []
    return call


def aliases(root: Path) -> dict[str, str]:
    client = connect(resolve(root, None))
    return {alias: str(version) for alias, version in client.get_registered_model("hone").aliases.items()}


def versions(root: Path) -> list:
    return connect(resolve(root, None)).search_model_versions("name = 'hone'")


def test_the_first_model_is_champion_and_carries_its_tags(root: Path, publish: Publish, models) -> None:
    found = publish("p1", "bad")
    assert found is not None
    assert found.is_champion
    assert publish.warnings == []
    assert aliases(root) == {"champion": "1", "line-1": "1"}  # who is champion challenges nobody
    (version,) = versions(root)
    assert version.tags["hone.pipeline"] == "p1"
    assert version.tags["hone.data_hash"] == "d1"
    assert version.tags["hone.git_commit"] == "c1"
    assert float(version.tags["metric.roc_auc"]) == models["bad"][1]
    assert "town (categorical)" in version.description


def test_a_better_challenger_becomes_champion_without_a_word(root: Path, publish: Publish, capfd) -> None:
    publish("p1", "bad")
    found = publish("p2", "good")
    assert capfd.readouterr() == ("", "")
    assert found is not None
    assert found.is_champion
    assert found.decision.startswith(
        "new champion: this version did better than version 1, with ROC AUC higher by 0.35 (95 %"
    )
    assert aliases(root) == {"champion": "2", "line-1": "2"}


def test_a_challenger_that_is_worse_or_better_by_chance_does_not(root: Path, publish: Publish) -> None:
    publish("p1", "near")
    for pipeline, name, said in (("p2", "bad", "worse: "), ("p3", "good", "not better beyond chance: ")):
        found = publish(pipeline, name)
        assert found is not None
        assert not found.is_champion
        assert found.decision.startswith(said)
    assert "higher by 0.06 (95 % interval " in found.decision
    assert aliases(root) == {"champion": "1", "line-1": "1", "challenger": "3"}


def test_how_sure_the_interval_is_to_be_is_a_param(root: Path, publish: Publish) -> None:
    publish("p1", "near")
    lenient = Params.model_validate({"evaluate": {"bootstrap": 200, "confidence": 0.5}})
    found = publish("p2", "good", settings=lenient)
    assert found is not None
    assert found.is_champion
    assert "50 % interval" in found.decision


def test_rows_of_one_group_are_drawn_together(root: Path, publish: Publish, models) -> None:
    """One group holds all rows that the challenger ranks wrong: a quarter of the resamples is made of it alone."""
    probability = model_store.load(models["good"][0]).predict(SEALED)["probability_yes"]
    wrong = (probability > probability.median()) != (SEALED["left"] == "yes")
    rows = SEALED.assign(owner=np.where(wrong, "a", "b"))
    split = {"method": "grouped", "group": "owner"}
    grouped = Params.model_validate({"evaluate": {"bootstrap": 200}, "split": split})
    publish("p1", "bad", rows=rows)
    by_group = publish("p2", "good", rows=rows, settings=grouped)
    by_row = publish("p3", "good", rows=rows, sealed="s2")
    assert by_group is not None
    assert by_row is not None
    assert not by_group.is_champion
    assert by_row.is_champion


def test_the_champion_is_scored_on_the_challengers_rows_not_by_its_old_score(root: Path, publish: Publish) -> None:
    publish("p1", "bad", score=0.999)
    found = publish("p2", "good")
    assert found is not None
    assert found.is_champion


def test_a_pipeline_that_publishes_again_registers_nothing_new(root: Path, publish: Publish) -> None:
    publish("p1", "good")
    publish("p2", "bad")
    before = [(version.version, version.tags) for version in versions(root)]
    again = publish("p1", "good")
    assert again == Published(
        name="hone", version="1", is_champion=True, decision=before[-1][1]["hone.decision"], is_new=False, looks=1
    )
    assert [(version.version, version.tags) for version in versions(root)] == before
    assert aliases(root) == {"champion": "1", "line-1": "1", "challenger": "2"}


def test_another_model_of_the_same_pipeline_is_registered_too(root: Path, publish: Publish) -> None:
    """A time limit that was measured anew gives one, and what was measured is not in the pipeline's key."""
    publish("p1", "bad")
    found = publish("p1", "good")
    assert found is not None
    assert (found.version, found.is_new, found.is_champion) == ("2", True, True)
    for name, version in (("bad", "1"), ("good", "2")):
        again = publish("p1", name)
        assert again is not None
        assert (again.version, again.is_new) == (version, False)


def test_a_version_of_before_there_were_hashes_is_its_pipelines(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    for tag in (champions.MODEL, champions.SEALED):
        connect(resolve(root, None)).delete_model_version_tag("hone", "1", tag)
    found = publish("p1", "good")
    assert found is not None
    assert (found.version, found.is_new) == ("1", False)


def test_a_pipeline_that_is_evaluated_again_after_a_kill_before_its_commit_registers_nothing_new(
    root: Path, publish: Publish, models, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def evaluate_and_die() -> None:
        publish("p1", "good")
        os.kill(os.getpid(), signal.SIGKILL)

    killed = multiprocessing.get_context("fork").Process(target=evaluate_and_die)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    before = [(version.version, version.tags) for version in versions(root)]
    assert len(before) == 1
    # The stages after the kill write the model anew, in the same bytes.
    models["again"] = (
        shutil.copytree(models["good"][0], tmp_path_factory.mktemp("again") / "model"),
        models["good"][1],
    )
    found = publish("p1", "again")
    assert found is not None
    assert not found.is_new
    assert found.is_champion
    assert [(version.version, version.tags) for version in versions(root)] == before
    assert aliases(root) == {"champion": "1", "line-1": "1"}


def test_a_publication_that_a_kill_cut_short_is_completed(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    publish("p2", "good")
    client = connect(resolve(root, None))
    client.delete_model_version_tag("hone", "2", "hone.decision")
    client.set_registered_model_alias("hone", "champion", "1")
    found = publish("p2", "good")
    assert found is not None
    assert found.is_champion
    assert found.looks == 2
    assert len(versions(root)) == 2
    assert aliases(root) == {"champion": "2", "line-1": "2"}


def test_a_champion_that_cannot_be_scored_stays_champion_with_a_warning(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    found = publish("p2", "good", rows=SEALED.drop(columns="town"))
    assert found is not None
    assert not found.is_champion
    assert aliases(root) == {"champion": "1", "line-1": "1", "challenger": "2"}
    (warning,) = publish.warnings
    assert "stays champion" in warning
    assert "`hone champion --set 2`" in warning
    assert "\n" not in warning


def test_a_champion_whose_files_are_gone_is_kept_with_a_warning(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    for file in (root / "mlartifacts").rglob("model.json"):
        file.unlink()
    found = publish("p2", "good")
    assert found is not None
    assert not found.is_champion
    assert len(publish.warnings) == 1


def test_an_undefined_score_never_wins(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    found = publish("p2", "good", rows=SEALED[SEALED["left"] == "yes"])
    assert found is not None
    assert not found.is_champion
    assert found.decision.startswith("not comparable: ROC AUC is undefined on 40 test rows")
    (warning,) = publish.warnings
    assert "version 1 stays champion" in warning


def deciding(folder: Path, positive: str, threshold: float) -> Path:
    """Write a model judged by accuracy that predicts `positive` from a probability on."""
    preprocessor, inputs = small_model.fitted("binary")
    code = preprocessor.problem.classes.index(positive)
    problem = dataclasses.replace(preprocessor.problem, metric="accuracy", positive_index=code)
    config = default_space("mlp").default
    model_store.save(
        folder,
        networks=[model_store.Network("mlp", config, build("mlp", config, inputs, 0).state_dict())],
        inputs=inputs,
        preprocessor=dataclasses.replace(preprocessor, problem=problem),
        threshold=threshold,
    )
    return folder


def test_a_champion_decides_by_its_own_threshold(root: Path, publish: Publish, models, tmp_path: Path) -> None:
    champion = deciding(tmp_path / "champion", "yes", 0.467)
    models |= {"low": (champion, 0.5), "half": (deciding(tmp_path / "challenger", "yes", 0.5), 0.5)}
    publish("p1", "low")
    found = publish("p2", "half")
    right = (model_store.load(champion).predict(SEALED)["prediction"] == SEALED["left"]).mean()
    assert found is not None
    assert f"against {wording.number(right)} on" in found.decision


def noisy(seed: int) -> pd.DataFrame:
    """Return rows of which a fifth have the wrong label, so that whoever knows them by heart does worse on others."""
    rows = raw_rows(seed)
    wrong = np.random.default_rng(seed).random(len(rows)) < 0.2
    return rows.assign(left=rows["left"].where(~wrong, rows["left"].map({"yes": "no", "no": "yes"})))


def trained(folder: Path, rows: pd.DataFrame, epochs: int) -> Path:
    """Write a model that was trained on rows, and that says so."""
    preprocessor, inputs = small_model.fitted("binary", rows)
    # The rarer class would be another one in other rows.
    problem = dataclasses.replace(preprocessor.problem, positive_index=1)
    preprocessor = dataclasses.replace(preprocessor, problem=problem)
    data = TrainingData(
        train=preprocessor.transform(rows), validation=None, problem=preprocessor.problem, inputs=inputs
    )
    config = {**default_space("mlp").default, "learning_rate": 0.01, "dropout": 0.0}
    settings = Settings(epochs=epochs, metric="roc_auc")
    _, checkpoint = train(config, "mlp", data, settings, resource=epochs, seed=0)
    assert checkpoint is not None
    model_store.save(
        folder,
        networks=[model_store.Network("mlp", config, checkpoint.weights())],
        inputs=inputs,
        preprocessor=preprocessor,
        seen=preprocessor.fingerprints(rows),
    )
    return folder


@pytest.fixture(scope="module")
def split_again(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, pd.DataFrame]:
    """Return a champion that knows half of the new sealed rows by heart, an honest challenger, and these rows."""
    folder = tmp_path_factory.mktemp("split_again")
    sealed = noisy(1)
    champion = trained(folder / "champion", pd.concat([noisy(2), sealed.head(40)], ignore_index=True), 100)
    challenger = trained(folder / "challenger", pd.concat(map(noisy, range(3, 7)), ignore_index=True), 3)
    return champion, challenger, sealed


def auc(model: Path, rows: pd.DataFrame) -> float:
    predictor = model_store.load(model)
    truth = problems.encode(predictor.problem, rows["left"])
    return metrics.score("roc_auc", predictor.problem, truth, predictor.proba(rows))


def challenge(root: Path, champion: Path, challenger: Path, rows: pd.DataFrame) -> tuple[Published, list[str]]:
    """Publish two models, the second on sealed rows; return what became of it and the warnings."""
    warnings: list[str] = []
    for number, model in enumerate((champion, challenger)):
        found = submit(root, f"p{number}", model, rows, {"roc_auc": auc(model, rows)}, warnings.append)
    assert found is not None
    return found, warnings


def test_a_champion_that_saw_sealed_rows_is_compared_on_the_others_only(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    new = sealed.iloc[40:]
    assert auc(champion, sealed) > auc(challenger, sealed)  # what it would be worth to have seen the rows
    assert auc(champion, new) < auc(challenger, new)
    found, warnings = challenge(root, champion, challenger, sealed)
    assert found.is_champion
    assert found.decision.startswith("new champion: this version did better than version 1, with ROC AUC higher by ")
    assert "on 40 test rows that neither was trained on; the sealed rows have judged 2 models" in found.decision
    assert warnings == []


def started(folder: Path, model: Path, former: list[Seen]) -> Path:
    """Write a model as if it had started from weights that were trained on these rows."""
    shutil.copytree(model, folder)
    arrays, marks = packed(former, model_store.FORMER)
    content = safetensors.numpy.save(
        {"seen": model_store.seen(folder).view(np.int64), **arrays},
        metadata={model_store.KEY: json.dumps({"former": marks})},
    )
    (folder / "rows.safetensors").write_bytes(content)
    description = json.loads((folder / "model.json").read_text())
    description["sha256"]["rows.safetensors"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize("of_another_table", [False, True])
def test_rows_that_former_weights_saw_are_new_to_nobody(
    root: Path, split_again, tmp_path: Path, of_another_table: bool
) -> None:
    champion, challenger, sealed = split_again
    preprocessor, _ = small_model.fitted("binary", sealed)
    marks = preprocessing.marks(preprocessor.schema, preprocessor.problem)
    elsewhere = [Seen(Marks(("sepal", "petal")), np.arange(3, dtype=np.uint64))] if of_another_table else []
    saw = Seen(marks, preprocessor.fingerprints(sealed.tail(5)))
    found, _ = challenge(root, champion, started(tmp_path / "started", challenger, [*elsewhere, saw]), sealed)
    doubt = "; whether the weights that they started from were trained on these cannot be told"
    judged = "; the sealed rows have judged 2 models"
    whole = f"on 35 test rows that neither was trained on{doubt if of_another_table else ''}{judged}"
    assert found.decision.endswith(whole)


def test_a_column_more_in_the_table_makes_no_new_rows_of_those_that_the_champion_saw(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    wider = sealed.assign(added=np.arange(len(sealed)))
    found, _ = challenge(root, champion, challenger, wider)
    assert "on 40 test rows that neither was trained on;" in found.decision


def test_on_fewer_than_thirty_new_rows_the_champion_stays_with_a_warning(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    found, warnings = challenge(root, champion, challenger, sealed.head(69))
    assert not found.is_champion
    few = "not comparable: only 29 of 69 test rows are new to both models, and 30 are needed"
    assert found.decision.startswith(few)
    (warning,) = warnings
    assert "version 1 stays champion" in warning
    assert aliases(root) == {"champion": "1", "line-1": "1", "challenger": "2"}


def test_where_new_rows_have_one_class_only_the_champion_stays(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    new = sealed.iloc[40:]
    one_class = pd.concat([new[new["left"] == "yes"]] * 2)
    found, warnings = challenge(root, champion, challenger, pd.concat([sealed.head(40), one_class]))
    assert not found.is_champion
    assert "ROC AUC is undefined" in found.decision
    assert len(warnings) == 1


def test_a_champion_that_does_not_say_what_it_saw_is_not_called_new_to_the_rows(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    found = publish("p2", "good")
    assert found is not None
    assert "on 80 test rows; what version 1 was trained on is not recorded;" in found.decision


@pytest.fixture(scope="module")
def titanic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return models of passengers: one that sees `boat`, known after the sinking only, and three that do not.

    "poor" has learned that who stayed left, so that it is worse than "honest" beyond chance.
    """
    folder = tmp_path_factory.mktemp("titanic")
    rows = pd.concat(map(with_boat, range(3, 7)), ignore_index=True)
    honest = rows.drop(columns="boat")
    return {
        "leaking": trained(folder / "leaking", rows, 30),
        "honest": trained(folder / "honest", honest, 30),
        "hasty": trained(folder / "hasty", honest, 1),
        "poor": trained(folder / "poor", honest.assign(left=honest["left"].map({"yes": "no", "no": "yes"})), 10),
    }


def with_boat(seed: int) -> pd.DataFrame:
    """Return passengers, of whom those who left have a boat."""
    rows = noisy(seed)
    return rows.assign(boat=pd.Series(np.where(rows["left"] == "yes", "C", None), dtype="str"))


def test_a_model_without_the_leak_becomes_champion_of_a_new_line(root: Path, titanic) -> None:
    sealed, warnings = with_boat(1), []

    def call(name: str, number: int) -> Published:
        model = titanic[name]
        scores = {"roc_auc": auc(model, sealed)}
        more = {"sealed": f"s{number}", "example": with_boat(2)}
        found = submit(root, f"p{number}", model, sealed, scores, warnings.append, **more)
        assert found is not None, warnings
        return found

    assert auc(titanic["leaking"], sealed) > 0.95 > auc(titanic["honest"], sealed) + 0.1
    assert call("leaking", 1).is_champion
    honest = call("honest", 2)
    assert honest.is_champion
    assert honest.decision.startswith(
        "new line: features differ from version 1's (`boat` is no longer used); not compared; ROC AUC "
    )
    assert aliases(root) == {"champion": "2", "line-2": "2", "line-1": "1"}
    (warning,) = warnings
    assert "models:/hone@line-1; `hone champion --set 1` brings it back" in warning
    hasty = call("hasty", 3)
    assert not hasty.is_champion
    assert "than version 2" in hasty.decision  # and not of the champion of the line before
    # The column comes back, by a model that is no better than the champion of its line.
    again = call("leaking", 4)
    assert again.decision.startswith("not better beyond chance: ")
    assert "this version and version 1 have the same ROC AUC on these" in again.decision
    assert again.decision.endswith("; the project is back at line 1, so version 1 is champion")
    assert aliases(root) == {"champion": "1", "line-2": "2", "line-1": "1", "challenger": "4"}


class Passengers:
    """Publishes the models of passengers, each time on sealed rows of its own, and changes champions by hand."""

    def __init__(self, root: Path, models: dict[str, Path], sealed: pd.DataFrame) -> None:
        self.root = root
        self.models = models
        self.sealed = sealed
        self.scores = {name: auc(model, sealed) for name, model in models.items()}
        self.client = connect(resolve(root, None))
        self.warnings: list[str] = []
        self._n_published = 0

    def publish(self, name: str, rows: pd.DataFrame | None = None, **more: Any) -> Published:
        self._n_published += 1
        model, scores = self.models[name], {"roc_auc": self.scores[name]}
        rows, pipeline = self.sealed if rows is None else rows, f"p{self._n_published}"
        more = {"sealed": f"s{self._n_published}", "example": with_boat(2), **more}
        found = submit(self.root, pipeline, model, rows, scores, self.warnings.append, **more)
        assert found is not None, self.warnings
        return found

    def registered(self) -> champions.Registered:
        found = champions.read(self.client, "hone")
        assert found is not None
        return found

    def set(self, version: str) -> bool:
        return champions.set_by_hand(self.client, self.registered(), version)

    def retire(self) -> str:
        return champions.retire(self.client, self.registered())

    def status(self, version: str) -> str:
        registered = self.registered()
        return champions.status(registered, registered.versions[version])


@pytest.fixture
def passengers(root: Path, titanic: dict[str, Path]) -> Passengers:
    return Passengers(root, titanic, with_boat(1))


def stays(version: str, instead: str) -> str:
    return f"; version {version} stays champion, as it was set by hand: `hone champion --set {instead}` changes that"


def test_a_champion_set_by_hand_stays_when_a_model_of_another_line_wins_or_loses(
    root: Path, passengers: Passengers
) -> None:
    passengers.publish("leaking")
    passengers.publish("poor")  # a new line: it is champion without a comparison
    passengers.set("1")
    passengers.warnings.clear()
    won = passengers.publish("honest")
    assert won.decision.startswith("new champion of its line: this version did better than version 2, ")
    assert won.decision.endswith(stays("1", "3"))
    assert not won.is_champion
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "3", "challenger": "3"}
    lost = passengers.publish("poor")
    assert lost.decision.startswith("worse: ")
    assert lost.decision.endswith(stays("1", "3"))
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "3", "challenger": "4"}
    few = passengers.publish("poor", passengers.sealed.head(29))
    assert few.decision.startswith("not comparable: ")
    assert few.decision.endswith(stays("1", "3"))
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "3", "challenger": "5"}
    (warning,) = passengers.warnings  # that two models could not be compared
    assert f"version 3 stays champion of its line{stays('1', '3')}; version 5 is registered" in warning
    assert [passengers.status(version) for version in "234"] == ["former champion", "line's champion", "worse"]
    passengers.set("3")
    assert aliases(root) == {"champion": "3", "line-1": "1", "line-2": "3", "challenger": "5"}


def test_a_champion_set_by_hand_stays_when_a_new_line_begins(root: Path, passengers: Passengers) -> None:
    passengers.publish("leaking")
    assert not passengers.set("1")  # it is champion already, and a person says that it is to stay that
    assert passengers.status("1") == "champion, by hand"
    found = passengers.publish("honest")
    assert found.decision.startswith("new line: features differ from version 1's (`boat` is no longer used); ")
    assert found.decision.endswith(stays("1", "2"))
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "2", "challenger": "2"}
    assert passengers.warnings == []
    # A kill came between the alias and the tag.
    passengers.client.delete_model_version_tag("hone", "2", champions.DECISION)
    again = passengers.publish("honest", sealed="s2")
    assert again.version == "2"
    assert again.decision.startswith("champion of its line: ROC AUC ")
    assert again.decision.endswith(stays("1", "2"))
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "2", "challenger": "2"}


def test_what_was_champion_of_its_line_only_is_called_no_former_champion(root: Path, passengers: Passengers) -> None:
    passengers.publish("leaking")
    passengers.set("1")
    passengers.publish("poor")
    passengers.publish("honest")
    assert [passengers.status(version) for version in "23"] == ["line's former champion", "line's champion"]


def test_a_champion_set_by_hand_is_defended_like_any_other_of_its_line(root: Path, publish: Publish) -> None:
    publish("p1", "good")
    publish("p2", "bad")
    client = connect(resolve(root, None))
    registered = champions.read(client, "hone")
    assert registered is not None
    champions.set_by_hand(client, registered, "2")
    found = publish("p3", "near")
    assert found is not None
    assert found.is_champion
    assert found.decision.startswith("new champion: this version did better than version 2, ")
    assert aliases(root) == {"champion": "3", "line-1": "3"}


def test_a_version_once_set_by_hand_that_a_run_makes_champion_is_set_by_hand_no_more(
    root: Path, passengers: Passengers
) -> None:
    passengers.publish("leaking")
    passengers.publish("honest")
    for version in "21":
        passengers.set(version)
    assert passengers.retire() == "1"
    assert aliases(root) == {"line-2": "2"}
    found = passengers.publish("hasty")
    assert found.decision.endswith("; there was no champion, so version 2 is champion")
    assert aliases(root) == {"champion": "2", "line-2": "2", "challenger": "3"}
    assert passengers.status("2") == "champion"
    again = passengers.publish("leaking")
    assert again.is_champion  # of a line without a champion
    assert again.decision.startswith("first champion of its line since version 1 was retired: ")
    assert passengers.status("2") == "line's champion"


@pytest.mark.parametrize("why", ["too few rows", "undefined"])
def test_back_at_a_former_line_its_champion_is_champion_even_if_none_can_be_compared(
    root: Path, passengers: Passengers, why: str
) -> None:
    passengers.publish("leaking")
    passengers.publish("honest")
    passengers.warnings.clear()
    sealed = passengers.sealed
    rows = sealed.head(29) if why == "too few rows" else sealed[sealed["left"] == "yes"]
    found = passengers.publish("leaking", rows)
    assert found.decision.startswith("not comparable: ")
    assert found.decision.endswith("; the project is back at line 1, so version 1 is champion")
    assert aliases(root) == {"champion": "1", "line-1": "1", "line-2": "2", "challenger": "3"}
    (warning,) = passengers.warnings
    assert "; the project is back at line 1, so version 1 is champion; version 3 is registered as challenger" in warning


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        ("by a run", "the project is back at line 1, but {gone}, so version 2 stays champion"),
        ("set by hand", stays("2", "3").removeprefix("; ")),  # version 1 could not be loaded
        ("retired", "there was no champion, but {gone}, so there still is none"),
    ],
)
def test_back_at_a_former_line_whose_champions_files_are_gone_nothing_moves(
    root: Path, passengers: Passengers, champion: str, said: str
) -> None:
    passengers.publish("leaking")
    for file in (root / "mlartifacts").rglob("model.json"):
        file.unlink()
    passengers.publish("honest")
    if champion == "set by hand":
        passengers.set("2")
    elif champion == "retired":
        passengers.retire()
    passengers.warnings.clear()
    before = aliases(root)
    found = passengers.publish("leaking")
    assert found.decision.startswith("not compared: champion version 1 cannot be scored on these rows (")
    outcome = said.format(gone="the files of version 1 cannot be read")
    assert found.decision.endswith(f"; {outcome}")
    assert aliases(root) == {**before, "challenger": "3"}
    (warning,) = passengers.warnings
    assert f"; {outcome}; version 3 is registered as challenger: `hone champion --set 3`" in warning


def test_the_sample_in_the_documentation_is_what_the_command_prints(
    root: Path, passengers: Passengers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores depend on the machine's arithmetic: numbers, dates and which of two like models is ahead are left out."""
    for name in ("leaking", "honest", "hasty"):
        predictor = model_store.load(passengers.models[name])
        problem, truth = predictor.problem, problems.encode(predictor.problem, passengers.sealed["left"])
        seen = {name: predictor.proba(passengers.sealed)}
        drawn = bootstrap.scores(["roc_auc"], problem, truth, seen, n_resamples=200, seed=0)[name]["roc_auc"]
        found = bootstrap.interval(passengers.scores[name], drawn, 0.95)
        passengers.publish(name, sealed="s1", intervals={"tuned": {"roc_auc": [found.low, found.high]}})
    (root / "params.yaml").write_text("")
    monkeypatch.chdir(root)
    capsys.readouterr()
    assert cli.main(["champion"]) == 0
    printed = capsys.readouterr().out
    sample = (HERE / "docs" / "champions.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]

    def bare(text: str) -> str:
        text = re.sub(r"(?<=beyond chance: ).*?(?=; )", "_", text)
        return re.sub(r" +", " ", re.sub(r"\d{4}-\d\d-\d\d|\d+\.\d+|-{4,}", "_", text))

    assert bare(sample) == bare(printed), printed
    bounds = [float(one) for pair in re.findall(r"\[(\d\.\d+), (\d\.\d+)\]", sample) for one in pair]
    assert bounds
    assert max(bounds) <= 1


def test_the_next_model_after_a_retired_champion_is_the_first_again(root: Path, publish: Publish) -> None:
    publish("p1", "good")
    client = connect(resolve(root, None))
    registered = champions.read(client, "hone")
    assert registered is not None
    assert champions.retire(client, registered) == "1"
    assert aliases(root) == {}
    found = publish("p2", "bad")
    assert found is not None
    assert found.is_champion
    assert found.decision.startswith("first champion since version 1 was retired: ROC AUC 0.371 [0.271, 0.471]")
    registered = champions.read(client, "hone")
    assert registered is not None
    assert champions.status(registered, registered.versions["2"]) == "champion"
    retired = publish("p1", "good")
    assert retired is not None
    assert not retired.is_champion
    assert "; retired by hand on " in retired.decision


def test_a_champion_of_before_there_were_lines_is_given_one(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    client = connect(resolve(root, None))
    for tag in (champions.LINE, champions.LINE_KEY):
        client.delete_model_version_tag("hone", "1", tag)
    client.delete_registered_model_alias("hone", "line-1")
    found = publish("p2", "good")
    assert found is not None
    assert "this version did better than version 1" in found.decision
    assert [version.tags[champions.LINE] for version in versions(root)] == ["1", "1"]
    assert aliases(root) == {"champion": "2", "line-1": "2"}


def test_a_champion_without_a_line_whose_files_are_gone_is_kept_with_a_warning(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    client = connect(resolve(root, None))
    for tag in (champions.LINE, champions.LINE_KEY):
        client.delete_model_version_tag("hone", "1", tag)
    for file in (root / "mlartifacts").rglob("model.json"):
        file.unlink()
    found = publish("p2", "good")
    assert found is not None
    assert not found.is_champion
    assert found.decision.startswith("not compared: champion version 1 cannot be scored on these rows")
    assert len(publish.warnings) == 1


def test_a_champion_that_was_chosen_in_mlflow_is_the_one_to_beat(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    publish("p2", "good")
    connect(resolve(root, None)).set_registered_model_alias("hone", "champion", "1")
    found = publish("p3", "near")
    assert found is not None
    assert found.is_champion
    assert "than version 1" in found.decision


def test_another_confidence_is_no_other_version(root: Path, publish: Publish) -> None:
    before = publish("p1", "good")
    other = Params.model_validate({"evaluate": {"bootstrap": 200, "confidence": 0.9}})
    found = publish("p2", "good", settings=other, intervals={"tuned": {"roc_auc": [0.7, 0.74]}})
    assert before is not None
    assert found == dataclasses.replace(before, is_new=False)
    (version,) = versions(root)
    assert version.tags["hone.confidence"] == "0.9"
    assert version.tags["hone.interval"] == "[0.7, 0.74]"
    assert "90 % interval" in version.description
    assert "0.719 [0.700, 0.740]" in version.description
    publish("p2", "good", sealed="s2", settings=other)  # other rows say something new
    assert len(versions(root)) == 2


def test_each_model_that_sealed_rows_have_judged_is_counted_once(root: Path, publish: Publish) -> None:
    found = [publish(f"p{i}", name) for i, name in enumerate(("bad", "near", "bad", "good"))]
    assert [one.looks for one in found if one] == [1, 2, 1, 3]
    elsewhere = publish("p4", "good", sealed="s2")
    assert elsewhere is not None
    assert elsewhere.looks == 1
    client = connect(resolve(root, None))
    client.delete_model_version("hone", "1")
    client.delete_model_version("hone", "2")
    version = client.get_model_version("hone", "3")
    assert version.tags[champions.DECISION].endswith("; the sealed rows have judged 3 models")
    assert "These sealed rows have judged 3 models; the best of them looks better than it is." in version.description
    registered = champions.read(client, "hone")
    assert registered is not None
    assert registered.looks("s1") == 3  # what was deleted has looked all the same


def test_a_model_that_is_judged_by_another_metric_is_no_further_look(
    root: Path, publish: Publish, models, tmp_path: Path
) -> None:
    publish("p1", "good")
    other = tmp_path / "other"
    shutil.copytree(models["good"][0], other)
    described = json.loads((other / "model.json").read_text(encoding="utf-8"))
    described["preprocessor"]["problem"]["metric"] = "accuracy"
    (other / "model.json").write_text(json.dumps(described), encoding="utf-8")
    found = submit(root, "p2", other, SEALED, {"roc_auc": 0.7, "accuracy": 0.5})
    assert found is not None
    assert (found.version, found.looks) == ("2", 1)
    again = publish("p3", "bad")
    assert again is not None
    assert again.looks == 2


def test_a_versions_page_says_what_it_is_worth_and_how_it_is_served(root: Path, publish: Publish) -> None:
    tracker = MlflowTracker(root, None, "hone")
    tracker.log(Entry(key="p1", kind="pipeline", name="digits"))
    tracker.close()
    tags = {"hone.data_hash": 20 * "d1", "hone.git_commit": 20 * "c1", "hone.git_dirty": "false"}
    models = {"defaults": {"roc_auc": 0.7}, "constant": {"roc_auc": 0.5}, "boosting": {"roc_auc": 0.8}}
    intervals = {"tuned": {"roc_auc": [0.6, 0.8]}, "boosting": {"roc_auc": [0.75, 0.85]}}
    verdict = [{"severity": "info", "message": "No proof of a gain <b>."}]
    publish("p1", "good", tags=tags, findings=verdict, intervals=intervals, **models)
    (version,) = versions(root)
    lines = version.description.splitlines()
    assert lines[0] == "**No proof of a gain &lt;b&gt;.**"
    assert "| model | ROC AUC, sealed rows, 95 % interval |" in lines
    assert "| **this version** | 0.719 [0.600, 0.800] |" in lines
    assert "| defaults | 0.7000 |" in lines
    assert "| constant | 0.5000 |" in lines
    assert "| boosting | 0.800 [0.750, 0.850] |" in lines
    assert any(line.startswith(r"**Decision:** first champion: ROC AUC 0.719 \[0.600, 0.800\]; ") for line in lines)
    assert (
        "MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve -m models:/hone/1 --env-manager local "
        "--host 127.0.0.1"
    ) in lines
    assert f"**Reproduce:** `hone reproduce {version.run_id}`" in lines
    assert "**Trained on:** `sklearn:digits`, data hash d1d1d1d1d1d1, commit c1c1c1c1c1c1" in lines
    assert "town (categorical)" in lines[-1]


def test_names_on_a_versions_page_are_text() -> None:
    image, link = "<img src=x>", "[click](https://evil.example)"
    columns = [Column(name=name, kind="categorical") for name in (link, image)]
    problem = Problem(task="binary", target=f"{image}y", metric="roc_auc", classes=("a", link), positive_index=0)
    version: Any = SimpleNamespace(name="hone", version="1", run_id=None, tags={champions.DECISION: "first <b>"})
    candidate = Candidate(
        pipeline="p", model=Path("none"), sealed="s", tags={}, evaluation={"tuned": {"roc_auc": 0.5}, "intervals": {}}
    )
    source = "data/`a` &<b>.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_store, "seen", lambda _: ())
        shown = registry.describe(
            version, Schema(tuple(columns)), problem, candidate, Params.model_validate({"data": {"source": source}})
        )
    assert f"**Trained on:** ``{source}``, data hash" in shown
    assert r"from \[click\](https://evil\.example) (categorical), &lt;img src=x&gt; (categorical)." in shown
    assert "first &lt;b&gt;." in shown
    assert "[click](" not in shown
    assert "<" not in shown.replace(source, "")


def test_a_registry_that_fails_costs_a_warning(root: Path, publish: Publish, models) -> None:
    warnings: list[str] = []
    (root / "file").write_text("")
    away = Params(tracking=Tracking(uri="sqlite:///file/below.db"))
    found = submit(root, "p", models["good"][0], SEALED, {"roc_auc": 1.0}, warnings.append, settings=away)
    assert found is None
    (warning,) = warnings
    assert "registry" in warning
    assert "\n" not in warning


def test_a_database_that_is_none_is_named(root: Path) -> None:
    (root / "mlflow.db").write_text("no database at all, whatever its name says")
    with pytest.raises(UserError, match="models:/hone@champion: cannot be loaded"):
        registry.load(root, Tracking(), "models:/hone@champion")


def test_without_tracking_nothing_is_registered(tmp_path: Path, models) -> None:
    off = Params(tracking=Tracking(uri="none"))
    assert submit(tmp_path, "p", models["good"][0], SEALED, {"roc_auc": 1.0}, settings=off) is None
    assert list(tmp_path.iterdir()) == []


def test_a_registered_model_is_its_pipelines_and_loads_by_alias(root: Path, publish: Publish, models) -> None:
    import mlflow

    tracker = MlflowTracker(root, None, "hone")
    tracker.log(Entry(key="p1", kind="pipeline", name="digits"))
    tracker.close()
    publish("p1", "good")
    (version,) = versions(root)
    client = connect(resolve(root, None))
    assert client.get_run(version.run_id).data.tags["hone.key"] == "p1"

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(resolve(root, None))
    try:
        loaded = mlflow.pyfunc.load_model("models:/hone@champion")
    finally:
        mlflow.set_tracking_uri(before)
    expected = model_store.load(models["good"][0]).predict(SEALED)
    pd.testing.assert_frame_equal(loaded.predict(SEALED), expected, check_exact=True)
    assert np.isfinite(expected["probability_yes"]).all()
