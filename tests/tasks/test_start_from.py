"""Weights to start from: the file, what is refused, and the stages that train from it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from hone import models
from hone.data.rows import Seen
from hone.errors import UserError
from hone.training import train
from tasks import (
    baseline,
    budget,
    files,
    ingest,
    model_store,
    retrain,
    search_random,
    split,
    start_from,
    trainables,
    trials,
)
from tasks.params import load_params, parse_params, search_space
from tasks.stage import Stage
from tasks.tracking import NullTracker
from tests.tasks import small_model
from tests.tasks.test_final_stages import Listener

SOURCE = "data/start_from/old.safetensors"


def saved(tensors: dict[str, torch.Tensor], **about: Any) -> bytes:
    return safetensors.torch.save(tensors, metadata={"hone": json.dumps(about)} if about else None)


def test_a_models_folder_gives_its_first_network_and_what_it_is_of(tmp_path: Path) -> None:
    folder = small_model.write(tmp_path / "project" / "artifacts" / "retrain" / "model", "binary")
    content = start_from.content(folder)
    assert content == start_from.content(tmp_path / "project") == start_from.content(folder / "model.safetensors")
    (tmp_path / "old.safetensors").write_bytes(content)
    former = start_from.parse(tmp_path / "old.safetensors", "old")
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    assert {f"0.{name}" for name in former.weights} == {name for name in stored if name.startswith("0.")}
    assert all(torch.equal(tensor, stored[f"0.{name}"]) for name, tensor in former.weights.items())
    assert former.family == "mlp"
    assert former.config["units_1"] == 128
    assert former.problem is not None
    assert former.problem.target == "left"
    assert "town" in former.columns
    assert start_from.content(tmp_path / "old.safetensors") == saved(dict(former.weights))  # as of anybody's


def with_rows(folder: Path, rows: pd.DataFrame, former: tuple[Seen, ...] = ()) -> Path:
    """Write a model that says it was trained on rows, and that it started from what was trained on others."""
    preprocessor, inputs = small_model.fitted("binary", rows)
    config = models.default_space("mlp").default
    network = model_store.Network("mlp", config, models.build("mlp", config, inputs, 0).state_dict())
    seen = preprocessor.fingerprints(rows)
    model_store.save(folder, networks=[network], inputs=inputs, preprocessor=preprocessor, seen=seen, former=former)
    return folder


def test_rows_that_the_former_model_and_its_former_ones_saw_come_along(tmp_path: Path) -> None:
    first, second, third = (small_model.raw_rows(seed) for seed in range(3))
    place = tmp_path / SOURCE
    place.parent.mkdir(parents=True)
    place.write_bytes(start_from.content(with_rows(tmp_path / "a", first)))
    before = start_from.seen(tmp_path, SOURCE)
    place.write_bytes(start_from.content(with_rows(tmp_path / "b", second, before)))
    former = start_from.former(tmp_path, SOURCE)
    assert former is not None
    assert not [name for name in former.weights if name.startswith("hone.")]
    copied = start_from.content(place)  # as of anybody's, but for the rows
    (tmp_path / "copied.safetensors").write_bytes(copied)
    assert start_from.content(tmp_path / "copied.safetensors") == copied
    assert start_from.parse(tmp_path / "copied.safetensors", "copied").family is None
    for content in (place.read_bytes(), copied):
        place.write_bytes(content)
        (found,) = start_from.seen(tmp_path, SOURCE)
        assert found.knows(first).all()
        assert found.knows(second.assign(new=1)).all()
        assert not found.knows(third).any()
    (other,) = start_from.seen(tmp_path, SOURCE)
    wider = replace(other, marks=replace(other.marks, names=(*other.marks.names, "gone")))
    judging = {"test": pd.concat([third, first.head(20)]), "validation": third}
    assert start_from.overlap((), judging) is None
    assert start_from.overlap((other,), {"test": third}) is None
    assert start_from.overlap((wider, other), judging) == (
        True,
        "model.start_from: the former weights were trained on 20 of 100 test rows (20%); scores on these are too good",
    )
    told = start_from.overlap((wider, other), {"test": third})
    assert told is not None
    assert not told[0]
    assert "cannot be told: the table lacks column 'gone'" in told[1]


def test_files_of_before_say_nothing_of_rows(tmp_path: Path) -> None:
    place = tmp_path / SOURCE
    place.parent.mkdir(parents=True)
    assert start_from.seen(tmp_path, None) == ()
    for content in (start_from.content(small_model.write(tmp_path / "m", "binary")), saved({"a": torch.ones(1)})):
        place.write_bytes(content)
        assert start_from.seen(tmp_path, SOURCE) == ()


@pytest.mark.parametrize("marks", [3, [3], [{"names": 1, "image": None, "shape": None}], [{}], [{}, {}]])
def test_rows_that_cannot_be_read_are_refused_in_a_line(marks: Any, tmp_path: Path) -> None:
    place = tmp_path / SOURCE
    place.parent.mkdir(parents=True)
    place.write_bytes(saved({"a": torch.ones(1), "hone.seen.0": torch.ones(2)}, seen=marks))
    with pytest.raises(UserError, match=r"^model\.start_from: .*: the rows trained on cannot be read .*copy it anew$"):
        start_from.seen(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"^old: not a file of safetensors \(SafetensorError"),
        (b"\x80\x04K\x01.", r"^old: not a file of safetensors"),
        (b"\xff" * 64, r"^old: not a file of safetensors"),
        (saved({}), r"^old: holds no weights"),
        (saved({"a": torch.tensor([1.0, np.nan])}), r"^old: a holds numbers that are not finite"),
        (saved({"a": torch.ones(1, dtype=torch.complex64)}), r"^old: a is of type torch.complex64"),
        (saved({"a": torch.ones(1)}, family="mlp"), r"^old: what it says of its model cannot be read \(KeyError"),
        (saved({"a": torch.ones(1)}, family="mlp", config=3, problem=[], columns=1), r"^old: what it says of its"),
    ],
)
def test_what_holds_no_weights_is_refused_in_a_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "old.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=said) as refusal:
        start_from.parse(tmp_path / "old.safetensors", "old")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data/start_from/gone.safetensors", r"^model\.start_from: .*gone\.safetensors: there is no such file; `hone"),
        (
            "models:/hone@champion",
            r"'models:/hone@champion' must be a file in data/start_from/.*`hone start-from models",
        ),
        ("data/start_from/../x.safetensors", r"must be a file in data/start_from/"),
    ],
)
def test_params_that_name_what_is_not_there_are_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"model: {{start_from: '{name}'}}\n")
    with pytest.raises(UserError, match=said) as refusal:
        load_params(tmp_path)
    assert "\n" not in str(refusal.value)


def test_only_with_weights_is_there_anything_to_choose() -> None:
    names = {"start", "backbone_rate", "frozen_epochs"}
    assert not names & set(search_space(parse_params({})).names)
    space = search_space(parse_params({"model": {"start_from": SOURCE}, "search": {"space": {"start": "pretrained"}}}))
    assert names <= set(space.names)
    assert space.default["start"] == "pretrained"
    assert space.active({**space.default, "start": "pretrained"})[-2:] == ("backbone_rate", "frozen_epochs")


@pytest.fixture
def given(tmp_path: Path) -> Stage:
    """A project on wine, whose networks start from one that somebody has trained on it."""
    params = parse_params(
        {
            "data": {"source": "sklearn:wine"},
            "model": {"start_from": SOURCE},
            "train": {"epochs": 9},
            "baseline": {"networks": 1},
            "budget": {"epochs": 200},
            "search": {"random": {"trials": 8, "epochs": 2}, "hyperband": {"min_epochs": 2}},
            "retrain": {"seeds": 1},
        }
    )
    stage = Stage(
        name="split",
        root=tmp_path,
        params=params,
        fingerprint="f",
        pipeline="p",
        executor=ThreadPoolExecutor(1),
        tracker=NullTracker(),
        reporter=Listener(),
    )
    ingest.run(replace(stage, name="ingest"))
    split.run(stage)
    config = {**search_space(parse_params({})).default, "units_1": 24, "units_2": 24, "embedding": "none"}
    preprocessor, data = retrain.prepare(tmp_path / "data" / "split", "standard")
    settings = trainables.settings(params, data.problem)
    _, checkpoint = train(config, "mlp", data, settings, resource=4, seed=1)
    assert checkpoint is not None
    network = model_store.Network("mlp", config, checkpoint.weights())
    folder = tmp_path / "artifacts" / "retrain" / "model"
    model_store.save(folder, networks=[network], inputs=data.inputs, preprocessor=preprocessor)
    (tmp_path / SOURCE).parent.mkdir(parents=True)
    (tmp_path / SOURCE).write_bytes(start_from.content(tmp_path))
    return stage


def test_the_stages_start_from_the_weights_and_say_so(given: Stage) -> None:
    said = given.reporter
    assert isinstance(said, Listener)
    said.messages.clear()
    budget.run(replace(given, name="budget"))
    baseline.run(replace(given, name="baseline"))
    assert said.messages == [
        f"{SOURCE}: networks start from layers.0.weight, layers.0.bias, layers.3.weight, layers.3.bias, head.weight,"
        " head.bias"
    ]
    measured = given.path("artifacts", "baseline", "metrics.json")
    pretrained = files.read_json(measured)["network"]
    scratch = given.params.search.model_copy(update={"space": {"start": "scratch"}})
    baseline.run(replace(given, name="baseline", params=given.params.model_copy(update={"search": scratch})))
    assert files.read_json(measured)["network"] != pretrained
    search_random.run(replace(given, name="search_random"))
    results = trials.read(given.path("artifacts", "search_random", "trials.parquet"))
    assert {result.trial.config["units_1"] for result in results} == {24}  # another shape could take nothing over
    assert {result.trial.config["start"] for result in results} == {"pretrained", "scratch"}
    default = results[0]
    assert default.trial.origin == "default"
    former = start_from.former(given.root, SOURCE)
    assert former is not None
    place = given.path("artifacts", "search_random", "checkpoints", f"{default.trial.key}.safetensors")
    near = safetensors.torch.load_file(place)["model.layers.0.weight"] - former.weights["layers.0.weight"]
    assert 0 < near.abs().max() < 0.05

    again = retrain.Network(
        split=given.path("data", "split"),
        rows=given.path("rows"),
        family="mlp",
        scaling="standard",
        settings=trainables.settings(given.params, trainables.read_problem(given.path("data", "split"))),
        config=default.trial.config,
        epochs=1,
        seed=2,
        root=given.root,
        start_from=SOURCE,
    )
    content, _ = again()
    assert content is not None
    trained = safetensors.torch.load(content)
    moved = (trained["layers.0.weight"] - former.weights["layers.0.weight"]).abs().max()
    assert 0 < moved < 0.05


def test_weights_that_fit_nowhere_end_the_stage_and_other_columns_are_named(given: Stage) -> None:
    data = trainables.load(given.path("data", "split"), given.rows, "standard", None)
    (given.root / SOURCE).write_bytes(saved({"conv.weight": torch.ones(3, 3)}))
    with pytest.raises(
        UserError, match=r"^model\.start_from: .*: nothing in it fits a network of mlp.*\(not in the file\)"
    ):
        trainables.say_start(given, data, trainables.full_space(given).default)
    folder = small_model.write(given.root / "other", "multiclass")
    (given.root / SOURCE).write_bytes(start_from.content(folder))
    said = given.reporter
    assert isinstance(said, Listener)
    trainables.say_start(given, data, trainables.full_space(given).default)
    assert "layers.3.weight" in said.messages[-1].partition("; they start afresh in ")[0]
    assert "it was trained on other columns (new: alcohol, " in said.warnings[-1]
