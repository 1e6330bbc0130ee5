"""The faults happen where they are placed, and what is lost is seen."""

import atexit
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import mlflow_facts, placed, processes
from tests.chaos.mlflow_facts import Facts, Run
from tests.chaos.placed import Fault


def run(work, tmp_path: Path, *hooks) -> tuple[processes.Ended, list[str]]:
    """Run some work as a command; return how it ended, and what is left of it."""
    command = processes.start(
        work,
        root=tmp_path,
        log=tmp_path / "log",
        environment={**os.environ, processes.MARK: str(tmp_path)},
        # What pytest's process is to do at its end, such as deleting Prefect's folder, is not the command's.
        hooks=(atexit._clear, *hooks),
    )
    ended = command.wait(20)
    return ended, command.left()


def writes(path: Path) -> int:
    with path.open("a", encoding="utf-8") as file:
        for _ in range(3):
            file.write("0123456789")
            file.flush()
            os.fsync(file.fileno())
    return 0


@pytest.mark.parametrize(("operation", "fraction", "size"), [("write", 0.0, 10), ("write", 0.5, 15), ("fsync", 0, 20)])
def test_a_kill_comes_at_the_byte_where_it_is_placed(tmp_path, operation, fraction, size):
    file = tmp_path / "journal"
    fault = Fault(lambda path: path == str(file), operation, 2, "kill group", tmp_path / "note", fraction=fraction)
    ended, _ = run(lambda: writes(file), tmp_path, lambda: placed.install(fault))
    assert ended.code == -signal.SIGKILL
    assert file.stat().st_size == size
    assert fault.note.exists()


def test_a_full_disk_takes_part_of_a_write_and_no_more(tmp_path):
    file = tmp_path / "journal"
    fault = Fault(lambda path: path == str(file), "write", 2, "full", tmp_path / "note", fraction=0.3)

    def work() -> int:
        for _ in range(2):
            with pytest.raises(OSError, match="No space left") as caught:
                writes(file)
            assert caught.value.errno == errno.ENOSPC
        return 0

    ended, _ = run(work, tmp_path, lambda: placed.install(fault))
    assert ended.code == 0, ended.log
    assert file.stat().st_size == 10 + 3


def test_other_files_are_written_as_ever(tmp_path):
    file = tmp_path / "journal"
    fault = Fault(lambda path: "another" in path, "write", 1, "kill group", tmp_path / "note")
    assert run(lambda: writes(file), tmp_path, lambda: placed.install(fault))[0].code == 0
    assert file.stat().st_size == 30


@pytest.mark.parametrize("detached", [False, True])
def test_a_process_that_is_left_is_seen(tmp_path, detached):
    def work() -> int:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=detached)
        (tmp_path / "pid").write_text(str(child.pid))
        return 0

    ended, left = run(work, tmp_path)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert ended.code == 0
    assert len(left) == 1


def test_what_mlflow_has_too_little_too_much_or_twice_is_seen():
    one = Run("FINISHED", None, frozenset(), frozenset(), {("a", 0, 1.0): 1}, frozenset())
    expected = Facts({"p": one, "p/s": one}, (), 1)
    assert not list(mlflow_facts.differences(expected, expected))
    twice = Run("RUNNING", None, frozenset(), frozenset(), {("a", 0, 1.0): 2}, frozenset())
    found = Facts({"p/s": twice, "p/t": one}, ("p/s",), 2)
    said = " ".join(mlflow_facts.differences(expected, found))
    for words in ("s is there twice", "the pipeline is missing", "t should not be there", "is RUNNING", "2 points"):
        assert words in said
    assert "2 versions" in said
