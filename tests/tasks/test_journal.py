"""The journal gives back what it was given, to the bit, and survives being torn."""

import math

from hone.trial import Result, State, Trial
from tasks.journal import Journal


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
