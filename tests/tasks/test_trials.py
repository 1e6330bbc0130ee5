"""The trials' table gives back what it was given, and equal work is equal bytes."""

from dataclasses import replace

import pyarrow.parquet as pq

from hone.trial import Result, State, Trial
from tasks import trials

RESULTS = [
    Result(
        trial=Trial(
            study="search_random",
            number=0,
            generation=0,
            config={"lr": 1 / 3, "n": 2, "act": "relu"},
            resource=6,
            rows=0.5,
        ),
        state=State.COMPLETE,
        objective=-0.75,
        curve=(-0.5, -0.75),
        best_epoch=2,
        metrics={"accuracy": 0.75},
        cost=1.0,
        seconds=1.23,
    ),
    Result(
        trial=Trial(
            study="search_random", number=1, generation=0, config={"lr": 0.1}, resource=6, parent="x-0001", fold=2
        ),
        state=State.DIVERGED,
        error="diverged: the training loss was not finite",
        cost=0.5,
    ),
    Result(
        trial=Trial(study="x", number=2, generation=1, config={"lr": 0.1}, resource=2, bar=(0.1, 0.2, 1 / 3)),
        state=State.COMPLETE,
        objective=0.4,
        curve=(0.5, 0.4),
        folds=((0.5, 0.4), (0.6,)),
    ),
]


def test_results_come_back_without_their_seconds(tmp_path):
    trials.write(tmp_path / "trials.parquet", RESULTS, "accuracy")
    assert trials.read(tmp_path / "trials.parquet") == [replace(result, seconds=0.0) for result in RESULTS]


def test_how_long_a_trial_took_is_not_in_the_bytes(tmp_path):
    trials.write(tmp_path / "a.parquet", RESULTS, "accuracy")
    trials.write(tmp_path / "b.parquet", [replace(result, seconds=9.9) for result in RESULTS], "accuracy")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_table_shows_the_metric_as_people_know_it():
    assert trials.table(RESULTS, "accuracy")["value"].to_pylist()[:2] == [0.75, None]


def test_a_table_of_a_version_without_folds_is_read(tmp_path):
    old = trials.table(RESULTS[:2], "accuracy").drop_columns(["bar", "folds"])
    pq.write_table(old, tmp_path / "old.parquet")
    _, results = trials.foreign(tmp_path / "old.parquet")
    assert results == [replace(result, seconds=0.0) for result in RESULTS[:2]]


def test_a_table_of_a_version_with_other_origins_is_read(tmp_path):
    result = replace(RESULTS[0], trial=replace(RESULTS[0].trial, origin="portfolio"), seconds=0.0)
    trials.write(tmp_path / "old.parquet", [result], "accuracy")
    assert trials.foreign(tmp_path / "old.parquet")[1] == [result]
