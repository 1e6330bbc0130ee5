"""A trial on the files of a split: what it is scored on, and that it is the same wherever and in how many parts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hone import metrics
from hone.trial import State, Trial
from tasks import files, held_out, split, trainables
from tasks.params import parse_params

N = 150
RANDOM = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "x": RANDOM.normal(size=N),
        "z": RANDOM.normal(size=N),
        "house": RANDOM.integers(0, 25, N).astype(str),
        "hour": RANDOM.permutation(N),
    }
)
FRAME["y"] = 3 * FRAME["x"] + FRAME["z"] ** 2 + RANDOM.normal(size=N) / 4
DEALT = [{}, {"method": "grouped", "group": "house"}, {"method": "time", "time": "hour", "gap": 4}]
CONFIG = {"n_layers": 1, "units_1": 8, "batch_size": 32, "learning_rate": 0.01}


def prepared(folder, sections, **dealt):
    """Write a split, and return the trainable that works on it."""
    given = {**sections, "split": {**sections.get("split", {}), **dealt}, "data": {"target": "y", "drop": ["house"]}}
    params = parse_params({**given, "train": {"epochs": 6, **sections.get("train", {})}, **SHORT})
    checked = split.check_frame(FRAME, None, params)
    for name in ("train", "validation"):
        files.write_parquet(folder / f"{name}.parquet", checked.frame.iloc[getattr(checked.split, name)])
    files.write_parquet(folder / trainables.FOLDS, checked.folds)
    files.write_parquet(folder / trainables.TRIAL_FOLDS, split.trial_folds(checked, params))
    files.write_json(folder / "schema.json", checked.schema.to_json())
    files.write_json(folder / "problem.json", checked.problem.to_json())
    return trainables.TrainTrial(
        split=folder,
        rows=folder / "rows",
        family="mlp",
        scaling="standard",
        settings=trainables.settings(params, checked.problem),
        seed=0,
        store=folder / "checkpoints",
        n_folds=params.split.n_folds,
        stopping=trainables.stopping(params),
    )


SHORT = {
    "budget": {"epochs": 300},
    "search": {"random": {"epochs": 2}, "bayes": {"epochs": 2}, "hyperband": {"min_epochs": 2}},
}
OBJECTIVES = {
    "holdout": {},
    "folds": {"split": {"objective": "folds", "folds": 3}},
    "apart": {"train": {"stopping": "apart", "stopping_rows": 0.2}},
}


def trial(number, resource, parent=None, **options):
    config = {**trainables.models.default_space("mlp").default, **CONFIG}
    return Trial(study="s", number=number, generation=0, config=config, resource=resource, parent=parent, **options)


def plain(result):
    return replace(result, seconds=0.0, cost=0.0, trial=trial(0, 0))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_trial_in_two_parts_in_another_process_equals_one_to_the_bit(objective, tmp_path):
    trainable = prepared(tmp_path, OBJECTIVES[objective])
    straight = trainable(trial(7, 5))
    whole = (trainable.store / "s-0007.safetensors").read_bytes()
    first = trainable(trial(7, 2))
    trainables._loaded.cache_clear()  # as a worker that has done nothing yet
    trainable(trial(3, 1))
    second = trainable(trial(9, 5, parent="s-0007"))
    assert plain(second) == plain(straight)
    assert (trainable.store / "s-0009.safetensors").read_bytes() == whole
    assert first.cost + second.cost == straight.cost == 5 * trainable.n_folds
    assert first.curve == straight.curve[:2]


def test_over_folds_each_network_is_scored_on_its_fold(tmp_path):
    trainable = prepared(tmp_path, OBJECTIVES["folds"])
    result = trainable(trial(0, 3))
    assert len(result.folds) == 3
    assert result.curve == pytest.approx(np.mean(result.folds, axis=0))
    rows = sum(len(trainable._load(fold, trainables.TRIAL_FOLDS).validation) for fold in range(3))
    assert rows == len(pd.read_parquet(tmp_path / "train.parquet")) + len(
        pd.read_parquet(tmp_path / "validation.parquet")
    )
    beaten = trainable(trial(1, 3, bar=(0.01, 0.02, 0.03)))
    assert beaten.state is State.COMPLETE
    assert beaten.pruned
    assert beaten.cost == 3
    assert not (trainable.store / "s-0001.safetensors").exists()


def test_replays_are_scored_on_what_they_name_whatever_the_objective(tmp_path):
    found = prepared(tmp_path / "a", OBJECTIVES["folds"]), prepared(tmp_path / "b", {"split": {"folds": 3}})
    for fold in (None, 1):
        again = trial(0, 2, origin="replay", replicate=1, fold=fold)
        one, other = (trainable(again) for trainable in found)
        assert one.curve == other.curve
        assert not one.folds


@pytest.mark.parametrize("fold", [None, 1])
def test_a_replay_keeps_what_it_predicts_after_every_epoch(fold, tmp_path):
    trainable = prepared(tmp_path, {"split": {"folds": 3}})
    result = trainable(trial(0, 5, origin="replay", replicate=1, fold=fold))
    assert len(result.curve) == 5
    validation = trainable._load(fold, trainables.FOLDS).validation
    assert trainables.n_held_out(tmp_path, fold) == len(validation)
    problem = trainables.read_problem(tmp_path)
    for epoch, objective in enumerate(result.curve, start=1):
        held_out.gather(tmp_path / "all", trainable.store, {"s-0000": epoch})
        found = held_out.read(tmp_path / "all", [result], tmp_path, problem, None)
        if fold is None:  # of one fold of three, no replicate is complete
            (prediction,) = found.of(result.trial.config)
            assert metrics.score("rmse", problem, found.truth, prediction) == pytest.approx(objective, rel=1e-5)
    kept = (trainable.store / "s-0000.safetensors").read_bytes()
    assert not trainable.missing(result.trial)
    (trainable.store / "s-0000.safetensors").write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert trainable.missing(result.trial)  # damaged
    trainable(result.trial)
    assert (trainable.store / "s-0000.safetensors").read_bytes() == kept


@pytest.mark.parametrize("dealt", DEALT)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_trains_what_stops_and_what_scores_are_apart_by_the_splits_own_method(
    objective, dealt, tmp_path, monkeypatch
):
    sections = {**OBJECTIVES[objective], "train": OBJECTIVES["apart"]["train"]}
    seen = []
    fit, take = trainables.preprocessing.fit, trainables.preprocessing.Preprocessor.transform

    def fitted(training, *rest):
        seen.append([])
        return fit(training, *rest)

    def transformed(self, rows):
        seen[-1].append(rows)
        return take(self, rows)

    monkeypatch.setattr(trainables.preprocessing, "fit", fitted)
    monkeypatch.setattr(trainables.preprocessing.Preprocessor, "transform", transformed)
    trainable = prepared(tmp_path, sections, **dealt)
    for number in range(3):
        assert trainable(trial(number, 1)).state is State.COMPLETE
    assert len(seen) == (3 if objective == "folds" else 1)
    for learnt, scored, stopping in seen:
        parts = [set(part["hour"]) for part in (learnt, stopping, scored)]
        assert all(parts)
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        assert len(stopping) == pytest.approx(0.2 * (len(learnt) + len(stopping)), abs=6)
        if "group" in dealt:
            houses = [set(part["house"]) for part in (learnt, stopping, scored)]
            assert not houses[0] & houses[1]
            assert not (houses[0] | houses[1]) & houses[2]
        if "time" in dealt:
            assert learnt["hour"].max() + 4 < stopping["hour"].min()  # every hour has a row
            assert stopping["hour"].max() + 4 < scored["hour"].min()


def test_the_rows_of_a_former_stage_are_let_go(monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(trainables.encoded_rows, "shared", lambda folder, make: loaded.append(folder) or object())
    first = trainables.load(tmp_path, tmp_path / "a", "standard", None)
    assert trainables.load(tmp_path, tmp_path / "a", "standard", None) is first
    trainables.load(tmp_path, tmp_path / "b", "standard", None)
    assert trainables._loaded.cache_info().currsize == 1  # else what "a" held would stay on the disk
    assert [folder.parent.name for folder in loaded] == ["a", "b"]
