"""Whatever params.yaml and a table hold, Hone runs or says in one clear line what to mend; more in `-m tests.fuzz`."""

import csv
import io
import random
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from hone.errors import UserError
from tests.fuzz import params, tables
from tests.fuzz.harness import Outcome, Tally, outcome, tally, unclear

MOST = 10_000  # columns


def told(found: Tally) -> str:
    return "\n".join(f"{times} times {what}: {case}\n{why}" for what, (times, case, why) in found.faults.items())


def test_odd_params_run_or_are_refused_in_clear_lines(tmp_path: Path) -> None:
    found = tally("params", params.FILES, params.Project(tmp_path / "project").run, 250)
    assert not found.faults, told(found)
    assert found.ran > 30
    assert found.refused > 30


def test_odd_tables_are_learnt_from_or_refused_in_a_clear_line(tmp_path: Path) -> None:
    found = tally("data", tables.CASES, tables.Project(tmp_path / "project").run, 50)
    assert not found.faults, told(found)
    assert found.ran > 5
    assert found.refused > 5


def test_ten_thousand_columns_are_learnt_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*(f"c{number}" for number in range(MOST)), "y"])
    writer.writerows([*np.round(row, 2), "u" if row[0] > 0 else "v"] for row in rng.normal(size=(20, MOST)))
    case = tables.Case("table.csv", text.getvalue().encode(), {"data.target": "y"})
    found = tables.Project(tmp_path / "project", predicts=False).run(case)
    assert found.kind == "ran", found


def _raise(message: str) -> Any:
    raise UserError(message)


@pytest.mark.parametrize("message", ["", "a\n\nb", "one\ntwo", "\n"])
def test_the_harness_takes_unclear_words_for_a_fault(message: str) -> None:
    assert outcome(lambda: _raise(message)).kind == "fault"
    assert unclear("x\x1b[2J")
    assert unclear("x" * 5000)
    assert not unclear("data.target: there is no column 'a'; did you mean 'b'?")


def test_the_harness_finds_a_fault_and_keeps_its_shortest_case() -> None:
    found = tally("numbers", st.integers(1, 10**6), lambda n: outcome(lambda: 1 // (n % 7)), 200)
    assert found.ran
    ((what, (times, case, _)),) = found.faults.items()
    assert what.startswith("ZeroDivisionError in ")
    assert times > 1
    assert len(case) < 7


def test_the_harness_runs_beside_a_thread_that_draws_from_random() -> None:
    done = threading.Event()

    def draw() -> None:
        while not done.is_set():
            random.random()

    def wait(number: int) -> int:
        time.sleep(0.01)  # the thread's turn
        return number

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        found = tally("numbers", st.integers(0, 9).map(wait), lambda _: Outcome("ran"), 5)
    finally:
        done.set()
        thread.join()
    assert found.ran == 5


def test_a_refusal_escapes_what_a_terminal_would_obey_and_keeps_its_end() -> None:
    message = str(UserError("a \x1b[2J \u202e b\nc " + "x" * 5000 + " mend it"))
    assert message.startswith("a \\x1b[2J \\u202e b\nc ")
    assert message.endswith(" mend it")
    assert not unclear(message, lines=2)
