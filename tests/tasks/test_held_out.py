"""Predictions of replays, gathered and read: each for the row it is of, folds put together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hone.data.problem import Problem
from hone.trial import Result, State, Trial
from tasks import held_out

PROBLEM = Problem(task="regression", target="y", metric="rmse")


def replay(number: int, config: dict[str, int], replicate: int, fold: int | None = None) -> Result:
    trial = Trial(
        study="replay", number=number, generation=0, config=config, resource=1, replicate=replicate, fold=fold
    )
    return Result(trial=trial, state=State.COMPLETE, objective=1.0, curve=(1.0,))


def split(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a split of 6 and 4 rows in 2 folds, some of them never held out; return the target and the folds."""
    y, folds = np.arange(10.0), np.array([-1, 0, 1, 1, 0, -1, 1, 0, 0, 1])
    rows = pd.DataFrame({"y": y, "who": [f"p{value // 2:g}" for value in y]})
    rows[:6].to_parquet(folder / "train.parquet")
    rows[6:].to_parquet(folder / "validation.parquet")
    pd.DataFrame({"fold": folds, "since": 0}).to_parquet(folder / "folds.parquet")
    return y, folds


def recorded(*predictions: np.ndarray) -> np.ndarray:
    """Return what a replay keeps of its predictions after each epoch."""
    recorder = held_out.Recorder(len(predictions) + 3)
    for prediction in predictions:
        recorder(prediction)
    return recorder.predictions


def test_predictions_come_back_beside_the_rows_they_are_of(tmp_path: Path) -> None:
    y, _ = split(tmp_path)
    replays = [replay(0, {"a": 1}, 1), replay(1, {"a": 1}, 2), replay(2, {"a": 2}, 1)]
    for one in replays[:2]:
        held_out.write(tmp_path / "work", one.trial.key, recorded(y[6:] + one.trial.number))
    held_out.gather(tmp_path / "all", tmp_path / "work", {one.trial.key: 1 for one in replays[:2]})
    found = held_out.read(tmp_path / "all", replays, tmp_path, PROBLEM, "who")
    assert found.truth.tolist() == [6, 7, 8, 9]
    assert found.groups is not None
    assert found.groups.tolist() == ["p3", "p3", "p4", "p4"]
    assert [prediction.tolist() for prediction in found.of({"a": 1})] == [[6, 7, 8, 9], [7, 8, 9, 10]]
    assert found.of({"a": 2}) == ()  # it failed


def test_folds_are_put_together_and_a_replicate_that_lacks_one_is_left_out(tmp_path: Path) -> None:
    y, folds = split(tmp_path)
    replays = [replay(2 * r + fold, {"a": 1}, r, fold) for r in (1, 2) for fold in (0, 1)]
    for one in replays[:3]:
        held_out.write(tmp_path / "work", one.trial.key, recorded(y[folds == one.trial.fold] * 10))
    held_out.gather(tmp_path / "all", tmp_path / "work", {one.trial.key: 1 for one in replays[:3]})
    found = held_out.read(tmp_path / "all", replays, tmp_path, PROBLEM, None)
    assert found.truth.tolist() == [1, 4, 7, 8, 2, 3, 6, 9]
    (prediction,) = found.of({"a": 1})
    assert prediction.tolist() == (found.truth * 10).tolist()


def test_the_epoch_of_the_final_model_counts_and_the_last_one_where_a_replay_stopped_before(tmp_path: Path) -> None:
    split(tmp_path)
    replays = [replay(0, {"a": 1}, 1), replay(1, {"a": 1}, 2), replay(2, {"a": 2}, 1)]
    for one, n_epochs in zip(replays, (4, 2, 4), strict=True):
        held_out.write(
            tmp_path / "work", one.trial.key, recorded(*(np.full(4, float(n)) for n in range(1, n_epochs + 1)))
        )
    epochs = {"replay-0000": 3, "replay-0001": 3, "replay-0002": 1}
    held_out.gather(tmp_path / "all", tmp_path / "work", epochs)
    found = held_out.read(tmp_path / "all", replays, tmp_path, PROBLEM, None)
    assert [set(prediction) for prediction in found.of({"a": 1})] == [{3.0}, {2.0}]
    assert [set(prediction) for prediction in found.of({"a": 2})] == [{1.0}]


def test_where_predictions_would_be_too_many_a_sample_of_rows_is_kept_the_same_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, folds = split(tmp_path)
    monkeypatch.setattr(held_out, "MOST_BYTES", 8 * 4 * 2)  # of 4 epochs, 2 of the 4 rows in each fold
    replays = [replay(2 * r + fold, {"a": 1}, r, fold) for r in (1, 2) for fold in (0, 1)]
    for one in replays:
        kept = recorded(y[folds == one.trial.fold] + one.trial.replicate)
        assert kept.shape == (1, 2)
        held_out.write(tmp_path / "work", one.trial.key, kept)
    held_out.gather(tmp_path / "all", tmp_path / "work", {one.trial.key: 1 for one in replays})
    found = held_out.read(tmp_path / "all", replays, tmp_path, PROBLEM, "who")
    assert len(found.truth) == 4
    assert [folds[int(value)] for value in found.truth] == [0, 0, 1, 1]
    assert [f"p{int(value) // 2}" for value in found.truth] == list(found.groups)
    for number, prediction in enumerate(found.of({"a": 1}), start=1):
        assert prediction.tolist() == (found.truth + number).tolist()


def test_values_keep_all_their_digits_and_probabilities_those_that_a_network_has() -> None:
    seconds = 1.7e9 + np.arange(4.0)
    assert recorded(seconds).tolist() == [seconds.tolist()]
    chances = np.array([[0.1, 0.9], [0.25, 0.75]])
    np.testing.assert_allclose(recorded(chances), [chances], rtol=1e-6)
