"""The journal gives back what it was given, to the bit, and survives being torn."""

import math
import os

import pytest

from hone.trial import Result, State, Trial
from tasks.journal import Journal, read


def result(number: int, objective: float = 0.1 + 0.2) -> Result:
    trial = Trial(
        study="s",
        number=number,
        generation=number // 2,
        config={"learning_rate": 1 / 3, "n_layers": 2, "activation": "relu", "bias": True},
        resource=9,
        parent="s-0001",
        bar=(0.1, 1 / 3),
    )
    return Result(
        trial=trial,
        state=State.COMPLETE,
        objective=objective,
        curve=(1.5, math.inf, objective),
        best_epoch=3,
        metrics={"accuracy": 2 / 3},
        cost=4.5,
        folds=((1.5, objective), (0.1 + 0.2,)),
    )


def test_results_come_back_to_the_bit(tmp_path):
    journal = Journal(tmp_path / "deep" / "journal.jsonl")
    written = [result(1), result(0, math.inf), result(2)]
    for each in written:
        journal.append(each)
    assert Journal(tmp_path / "deep" / "journal.jsonl").results == written


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(result(0))
    journal.append(result(1))
    path.write_bytes(path.read_bytes()[:-7])
    resumed = Journal(path)
    assert resumed.results == [result(0)]
    resumed.append(result(1))
    assert Journal(path).results == [result(0), result(1)]


def test_lines_that_are_not_as_they_were_written_are_dropped_and_the_others_kept(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for number in range(4):
        journal.append(result(number))
    lines = path.read_bytes().splitlines(keepends=True)
    believable = lines[1].replace(b"0.30000000000000004", b"0.20000000000000001")
    assert believable != lines[1]
    path.write_bytes(b"".join([lines[0], believable, b"\x00\xff\n", b"\n", lines[3]]))
    assert read(path) == [result(0), result(3)]  # which leaves the file as it is
    resumed = Journal(path)
    assert resumed.results == [result(0), result(3)]
    assert resumed.n_damaged == 3
    resumed.append(result(1))
    assert Journal(path).results == [result(0), result(3), result(1)]


def test_what_could_not_be_written_is_not_glued_to_what_follows(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(result(0))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.append(result(1))
    journal.append(result(2))
    assert Journal(tmp_path / "journal.jsonl").results == journal.results == [result(0), result(2)]
