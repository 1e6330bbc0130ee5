"""The registry: champion and challenger on the same sealed rows, in a real MLflow database."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from hone import metrics
from hone.data import preprocessing
from hone.data import problem as problems
from hone.data.rows import Marks, Seen, packed
from hone.errors import UserError
from hone.models import build, default_space
from hone.training.train import Settings, TrainingData, train
from tasks import model_store, registry
from tasks.params import Tracking
from tasks.registry import Published
from tasks.tracking import Entry, MlflowTracker
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import resolve
from tests.tasks import small_model
from tests.tasks.small_model import raw_rows

SEALED = raw_rows(9)
TAGS = {"hone.data_hash": "d1", "hone.git_commit": "c1"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, float]]:
    """Return two models that differ on the sealed rows, "good" and "bad", with their scores."""
    folder = tmp_path_factory.mktemp("models")
    found = []
    for seed in (0, 10):
        model = small_model.write(folder / f"seed-{seed}", "binary", seed)
        predictor = model_store.load(model)
        truth = problems.encode(predictor.problem, SEALED["left"])
        found.append((model, metrics.score("roc_auc", predictor.problem, truth, predictor.proba(SEALED))))
    bad, good = sorted(found, key=lambda pair: pair[1])
    assert good[1] > bad[1]
    return {"good": good, "bad": bad}


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


@pytest.fixture
def publish(root: Path, models: dict[str, tuple[Path, float]]) -> Publish:
    """Return a function that publishes the model of a name for a pipeline; warnings are its attribute."""

    def call(pipeline: str, name: str, rows: pd.DataFrame = SEALED, score: float | None = None) -> Published | None:
        model, own = models[name]
        return registry.publish(
            root,
            Tracking(),
            pipeline=pipeline,
            model=model,
            rows=rows,
            example=raw_rows(),
            scores={"roc_auc": own if score is None else score, "accuracy": 0.5},
            tags=TAGS,
            warn=call.warnings.append,
        )

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
    assert aliases(root) == {"champion": "1", "challenger": "1"}
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
    assert "against" in found.decision
    assert aliases(root) == {"champion": "2", "challenger": "2"}


def test_a_worse_or_equal_challenger_does_not(root: Path, publish: Publish) -> None:
    publish("p1", "good")
    for pipeline, name in (("p2", "bad"), ("p3", "good")):
        found = publish(pipeline, name)
        assert found is not None
        assert not found.is_champion
        assert "not better" in found.decision
    assert aliases(root) == {"champion": "1", "challenger": "3"}


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
        name="hone", version="1", is_champion=True, decision=before[-1][1]["hone.decision"], is_new=False
    )
    assert [(version.version, version.tags) for version in versions(root)] == before
    assert aliases(root) == {"champion": "1", "challenger": "2"}


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
    connect(resolve(root, None)).delete_model_version_tag("hone", "1", "hone.model")
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
    assert aliases(root) == {"champion": "1", "challenger": "1"}


def test_a_publication_that_a_kill_cut_short_is_completed(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    publish("p2", "good")
    client = connect(resolve(root, None))
    client.delete_model_version_tag("hone", "2", "hone.decision")
    client.set_registered_model_alias("hone", "champion", "1")
    found = publish("p2", "good")
    assert found is not None
    assert found.is_champion
    assert len(versions(root)) == 2
    assert aliases(root) == {"champion": "2", "challenger": "2"}


@pytest.mark.parametrize("change", ["column", "classes"])
def test_a_champion_that_cannot_be_scored_stays_champion_with_a_warning(
    root: Path, publish: Publish, models, change: str, tmp_path: Path
) -> None:
    publish("p1", "bad")
    if change == "column":
        found = publish("p2", "good", rows=SEALED.drop(columns="town"))
    else:
        other = small_model.write(tmp_path / "other", "multiclass")
        found = registry.publish(
            root,
            Tracking(),
            pipeline="p2",
            model=other,
            rows=SEALED,
            example=raw_rows(),
            scores={"accuracy": 1.0},
            tags={},
            warn=publish.warnings.append,
        )
    assert found is not None
    assert not found.is_champion
    assert aliases(root) == {"champion": "1", "challenger": "2"}
    (warning,) = publish.warnings
    assert "stays champion" in warning
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
    assert found.decision.startswith("not comparable: roc_auc is undefined on 40 test rows")
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


def test_a_champion_decides_by_its_own_positive_class(root: Path, publish: Publish, models, tmp_path: Path) -> None:
    champion = deciding(tmp_path / "champion", "no", 0.467)
    models |= {"no": (champion, 0.5), "yes": (deciding(tmp_path / "challenger", "yes", 0.5), 0.5)}
    publish("p1", "no")
    found = publish("p2", "yes")
    right = (model_store.load(champion).predict(SEALED)["prediction"] == SEALED["left"]).mean()
    assert found is not None
    assert f"against {right:.6g} of version 1" in found.decision


def noisy(seed: int) -> pd.DataFrame:
    """Return rows of which a fifth have the wrong label, so that whoever knows them by heart does worse on others."""
    rows = raw_rows(seed)
    wrong = np.random.default_rng(seed).random(len(rows)) < 0.2
    return rows.assign(left=rows["left"].where(~wrong, rows["left"].map({"yes": "no", "no": "yes"})))


def trained(folder: Path, rows: pd.DataFrame, epochs: int) -> Path:
    """Write a model that was trained on rows, and that says so."""
    preprocessor, inputs = small_model.fitted("binary", rows)
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
        found = registry.publish(
            root,
            Tracking(),
            pipeline=f"p{number}",
            model=model,
            rows=rows,
            example=raw_rows(),
            scores={"roc_auc": auc(model, rows)},
            tags=TAGS,
            warn=warnings.append,
        )
    assert found is not None
    return found, warnings


def test_a_champion_that_saw_sealed_rows_is_compared_on_the_others_only(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    new = sealed.iloc[40:]
    assert auc(champion, sealed) > auc(challenger, sealed)  # what it would be worth to have seen the rows
    assert auc(champion, new) < auc(challenger, new)
    found, warnings = challenge(root, champion, challenger, sealed)
    assert found.is_champion
    assert found.decision == (
        f"new champion, roc_auc {auc(challenger, new):.6g} against {auc(champion, new):.6g} of version 1 "
        "on 40 test rows that neither was trained on"
    )
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
    assert found.decision.endswith(f"on 35 test rows that neither was trained on{doubt if of_another_table else ''}")


def test_a_column_more_in_the_table_makes_no_new_rows_of_those_that_the_champion_saw(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    wider = sealed.assign(added=np.arange(len(sealed)))
    found, _ = challenge(root, champion, challenger, wider)
    assert found.decision.endswith("on 40 test rows that neither was trained on")


def test_on_fewer_than_thirty_new_rows_the_champion_stays_with_a_warning(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    found, warnings = challenge(root, champion, challenger, sealed.head(69))
    assert not found.is_champion
    assert found.decision == ("not comparable: only 29 of 69 test rows are new to both models, and 30 are needed")
    (warning,) = warnings
    assert "version 1 stays champion" in warning
    assert aliases(root) == {"champion": "1", "challenger": "2"}


def test_where_new_rows_have_one_class_only_the_champion_stays(root: Path, split_again) -> None:
    champion, challenger, sealed = split_again
    new = sealed.iloc[40:]
    one_class = pd.concat([new[new["left"] == "yes"]] * 2)
    found, warnings = challenge(root, champion, challenger, pd.concat([sealed.head(40), one_class]))
    assert not found.is_champion
    assert "roc_auc is undefined" in found.decision
    assert len(warnings) == 1


def test_a_champion_that_does_not_say_what_it_saw_is_not_called_new_to_the_rows(root: Path, publish: Publish) -> None:
    publish("p1", "bad")
    found = publish("p2", "good")
    assert found is not None
    assert found.decision.endswith("on 80 test rows; what version 1 was trained on is not recorded")


def test_a_registry_that_fails_costs_a_warning(root: Path, publish: Publish, models) -> None:
    warnings: list[str] = []
    (root / "file").write_text("")
    found = registry.publish(
        root,
        Tracking(uri="sqlite:///file/below.db"),
        pipeline="p",
        model=models["good"][0],
        rows=SEALED,
        example=raw_rows(),
        scores={"roc_auc": 1.0},
        tags=TAGS,
        warn=warnings.append,
    )
    assert found is None
    (warning,) = warnings
    assert "registry" in warning
    assert "\n" not in warning


def test_a_database_that_is_none_is_named(root: Path) -> None:
    (root / "mlflow.db").write_text("no database at all, whatever its name says")
    with pytest.raises(UserError, match="models:/hone@champion: cannot be loaded"):
        registry.load(root, Tracking(), "models:/hone@champion")


def test_without_tracking_nothing_is_registered(tmp_path: Path, models) -> None:
    assert (
        registry.publish(
            tmp_path,
            Tracking(uri="none"),
            pipeline="p",
            model=models["good"][0],
            rows=SEALED,
            example=raw_rows(),
            scores={"roc_auc": 1.0},
            tags=TAGS,
        )
        is None
    )
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
