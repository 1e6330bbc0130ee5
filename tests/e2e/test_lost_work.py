"""What disks forget and files lose is worked out again, to the same bytes; what has ended takes no room."""

import errno
import shutil
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from hone.errors import MachineError
from tasks import checkpoints, journal, pipeline
from tests.e2e.test_every_family import QUICK, Interrupted, pools, stages, table
from tests.inline import Here

__all__ = ["pools"]
pytestmark = pytest.mark.e2e
STAGE = "search_hyperband"
BEFORE = ("ingest", "split", "budget", "baseline", "search_random", "search_bayes")


@pytest.fixture(scope="module")
def searched(make_project, pools):
    """A project whose refinement goes through all rungs, done; and one that is about to begin it."""
    changes = {"budget.epochs": 110, "train.epochs": 8, "train.patience": 0, "search.hyperband.min_epochs": 2}
    changes |= {"search.hyperband.reduction_factor": 2, "search.hyperband.share": 0.5, "search.bayes.share": 0.2}
    project = make_project({**QUICK, "model.family": "mlp", **changes}, table(), name="lost")
    stages(project, pools[0], *BEFORE)
    fresh = project.copy(project.root.parent / "fresh")
    stages(project, pools[0], STAGE)
    return project, fresh


def outs(project):
    return {out: pipeline.hash_path(project.root / out) for out in pipeline.specs(project.root)[STAGE].outs}


def interrupted(fresh, place, pools, after=12):
    """Return a project whose refinement was interrupted after so many trials, and its folder of work."""
    project = fresh.copy(place)
    with pytest.raises(KeyboardInterrupt):
        stages(project, Interrupted(pools[1], after), STAGE)
    (workdir,) = project.root.glob(f".work/{STAGE}-*")
    return project, workdir


def test_lost_and_damaged_checkpoints_are_trained_again(searched, tmp_path, pools):
    done, fresh = searched
    continued = {r.trial.parent for r in journal.read(next(done.root.glob(f".work/{STAGE}-*/{STAGE}.jsonl")))}
    assert len(continued - {None}) >= 3, "nothing is continued: this tests nothing"
    project, workdir = interrupted(fresh, tmp_path / "lost", pools)
    files = sorted((workdir / "checkpoints").glob("*.safetensors"))
    assert len(files) >= 3
    for number, file in enumerate(files):
        content = bytearray(file.read_bytes())
        if number % 3 == 0:
            file.unlink()
        elif number % 3 == 1:
            content[-5] ^= 1  # a weight, a little different
            file.write_bytes(content)
        else:
            file.write_bytes(content[: len(content) // 2])
    stages(project, pools[0], STAGE)
    assert outs(project) == outs(done)


def test_a_journal_damaged_in_its_middle_loses_only_those_lines(searched, tmp_path, pools):
    done, fresh = searched
    project, workdir = interrupted(fresh, tmp_path / "journal", pools)
    path = workdir / f"{STAGE}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = lines[1].replace(b'"objective": ', b'"objective": -9')  # a wonder, if it were believed
    assert changed != lines[1]
    path.write_bytes(b"".join([lines[0], changed, b"\x00\xff garbage\n", *lines[3:], lines[-1][:40]]))
    stages(project, pools[0], STAGE)
    assert outs(project) == outs(done)


def test_a_cap_on_disk_changes_no_result(searched, tmp_path, pools):
    done, fresh = searched
    project = fresh.copy(tmp_path / "capped")
    project.change({"execution.disk": "1kB"})
    most = 0

    class Watched(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            nonlocal most
            kept = sum(file.stat().st_size for file in project.root.glob(".work/*/checkpoints/*.safetensors"))
            most = max(most, kept)
            return pools[1].submit(fn, *args, **kwargs)

    stages(project, Watched(), STAGE)
    assert outs(project) == outs(done)
    # Those of the generation at hand are there in any case, and what it continues.
    assert most <= 8 * max(file.stat().st_size for file in done.root.glob(f".work/{STAGE}-*/checkpoints/*"))


def test_checkpoints_that_nobody_can_continue_are_deleted(searched):
    done, _ = searched
    results = journal.read(next(done.root.glob(f".work/{STAGE}-*/{STAGE}.jsonl")))
    kept = {file.stem for file in done.root.glob(f".work/{STAGE}-*/checkpoints/*.safetensors")}
    whole = {result.trial.key for result in results if result.trial.resource == 8}
    assert whole
    assert not kept & (whole | {result.trial.parent for result in results})


def test_a_full_disk_stops_the_search_and_is_no_result(searched, tmp_path, pools, monkeypatch):
    done, fresh = searched
    project = fresh.copy(tmp_path / "full")
    write, n = checkpoints.write, 0

    def full(*arguments: Any) -> None:
        nonlocal n
        n += 1
        if n > 5:
            raise OSError(errno.ENOSPC, "No space left on device", "a checkpoint")
        write(*arguments)

    monkeypatch.setattr(checkpoints, "write", full)
    with pytest.raises(MachineError, match="a checkpoint: No space left on device; mend that"):
        stages(project, Here(), STAGE)
    monkeypatch.undo()
    stages(project, pools[0], STAGE)
    assert outs(project) == outs(done)


def test_checkpoints_are_deleted_when_the_next_stage_begins_and_the_oldest_work(searched, tmp_path, pools):
    done, _ = searched
    project = done.copy(tmp_path / "pruned")
    work = project.root / ".work"
    assert any(work.glob(f"{STAGE}-*/checkpoints"))
    for number in range(5):
        (work / f"retrain-{number:016}").mkdir()
    stages(project, pools[0], "retrain")
    assert any(work.glob(f"{STAGE}-*/*.jsonl"))
    assert not any(work.glob(f"{STAGE}-*/checkpoints"))
    assert len([folder for folder in work.glob("retrain-0*") if folder.name[8:].isdigit()]) == 3


def test_a_stage_that_ended_but_was_not_committed_is_there_again_without_training(searched, tmp_path, pools):
    done, _ = searched
    project = done.copy(tmp_path / "uncommitted")
    for out in pipeline.specs(project.root)[STAGE].outs:
        path = project.root / out
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    class Nobody(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise AssertionError("it trains")

    stages(project, Nobody(), STAGE)
    assert outs(project) == outs(done)
