"""What Hone wrote and something damaged is read as it was written, or refused in a line; more in `-m tests.fuzz`."""

from pathlib import Path

import pytest

from tasks.allowance import Allowance
from tests.fuzz.harness import tally
from tests.fuzz.stored import Stored
from tests.fuzz.test_inputs import told


@pytest.mark.parametrize("kind", ["model", "warm", "start", "budget", "spool", "journal", "checkpoints"])
def test_damaged_files_are_read_right_or_refused(kind: str, tmp_path: Path) -> None:
    stored = Stored(tmp_path / "stored")
    found = tally(kind, stored.cases(kind), stored.run, 120)
    assert not found.faults, told(found)
    assert found.ran
    # A damaged line of a journal or a spool is dropped, and a damaged checkpoint trained again: nothing to refuse.
    assert found.refused or kind in ("spool", "journal", "checkpoints")


def test_whole_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    stored = Stored(tmp_path / "stored")
    for case in stored.contents.items():
        assert stored.run(case).kind == "ran", stored.run(case)


@pytest.mark.parametrize(
    "prices", [{"a": [0.0, 1.0]}, {"a": [1.0, float("inf")]}, {"a": {"b": -1.0}}, {"a": {"b": float("nan")}}]
)
def test_prices_by_which_nothing_can_be_divided_are_no_allowance(prices: object) -> None:
    assert Allowance.from_json({"epochs": 1.0, "prices": {"a": [1.0, -0.5], "b": {"c": 2.0}}}).prices
    with pytest.raises(ValueError, match="prices"):
        Allowance.from_json({"epochs": 1.0, "prices": prices})
