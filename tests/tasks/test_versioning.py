"""The DVC adapter, against DVC itself: what `dvc repro` leaves and what we leave must be the same."""

import contextlib
import json
import logging
import multiprocessing
import multiprocessing.synchronize
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo, lock_repo

from benchmarks.screens import watched
from hone.errors import UserError
from tasks import project, versioning

PIPELINE = """
stages:
  first:
    cmd: mkdir -p out && cat data/raw/*.csv code/a.py > out/first.txt
    deps: [code, data/raw]
    outs: [out/first.txt]
  last:
    cmd: cp out/first.txt out/last.txt && echo {} > out/metrics.json
    deps: [out/first.txt]
    params: [last.n]
    outs: [out/last.txt]
    metrics:
      - out/metrics.json:
          cache: false
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = logging.getLogger("dvc").level
    yield
    logging.getLogger("dvc").setLevel(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data" / "raw").mkdir(parents=True)
    (folder / "code").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    Repo.init(str(folder)).close()
    shutil.copy(Path(__file__).parents[2] / ".dvcignore", folder)
    (folder / ".dvc" / "config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {tmp_path}/site\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("last:\n  n: 1\n")
    (folder / "code" / "a.py").write_text("a = 1\n")
    (folder / "data" / "raw" / "table.csv").write_text("x,y\n1,2\n")
    versioning.track(folder, folder / "data" / "raw" / "table.csv")
    return folder


def work(root: Path, name: str) -> None:
    """Do what the stage's command does, outside of DVC."""
    if name == "first":
        (root / "out").mkdir(exist_ok=True)
        parts = [*sorted((root / "data" / "raw").glob("*.csv")), root / "code" / "a.py"]
        (root / "out" / "first.txt").write_bytes(b"".join(path.read_bytes() for path in parts))
    else:
        shutil.copy(root / "out" / "first.txt", root / "out" / "last.txt")
        (root / "out" / "metrics.json").write_text("{}\n")


def ours(root: Path) -> list[str]:
    """Walk the pipeline through our door; return what happened to each stage."""
    versioning.refresh(root)
    happened = []
    for name in versioning.order(root):
        if versioning.stale(root, name) is None:
            happened.append(f"{name} skipped")
            continue
        with versioning.claim(root, name) as held:
            if held.restore():
                happened.append(f"{name} restored")
                continue
            work(root, name)
            held.commit()
        happened.append(f"{name} run")
    return happened


def dvcs(root: Path) -> list[str]:
    """Walk the pipeline through DVC's door; return the stages that were stale."""
    with contextlib.chdir(root), Repo(str(root)) as repo:
        return [stage.addressing for stage in repo.reproduce()]


def clean(root: Path) -> bool:
    with contextlib.chdir(root), Repo(str(root)) as repo:
        return repo.status() == {}


def files(root: Path) -> dict[str, bytes]:
    """Return everything that git would see or DVC keeps in the workspace."""
    found = (path for path in root.rglob("*") if path.is_file() and not {".git", "tmp", "cache"} & set(path.parts[-6:]))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def copy(root: Path, name: str) -> Path:
    return Path(shutil.copytree(root, root.parent / name, symlinks=True))


def edit(path: Path, text: str) -> None:
    path.unlink()  # as an editor that writes a new file does; the cache may share the old one
    path.write_text(text)


def test_dvc_draws_no_bar_on_a_terminal(root: Path) -> None:
    """In a process of its own: a bar is drawn, or not, by the levels that DVC's first import sets."""
    program = (
        "import sys; from pathlib import Path; from tasks import versioning; root = Path(sys.argv[1])\n"
        "print(versioning.stale(root, 'first'))\n"
        "with versioning.claim(root, 'first') as held: print(held.restore())\n"
    )
    seen = watched([sys.executable, "-c", program, str(root)], Path(__file__).parents[2], os.environ, 80)
    assert (seen.code, seen.left()) == (0, ["it has not run yet", "False"])
    assert b"hashes" not in seen.written


def test_both_doors_leave_the_same_files_and_the_second_finds_nothing_to_do(root: Path) -> None:
    theirs = copy(root, "theirs")
    assert ours(root) == ["first run", "last run"]
    assert dvcs(theirs) == ["first", "last"]
    assert files(root) == files(theirs)
    assert clean(root)
    assert dvcs(root) == []
    assert ours(theirs) == ["first skipped", "last skipped"]


def test_a_changed_tracked_input_ends_as_dvc_repro_would_end_it(root: Path) -> None:
    ours(root)
    theirs = copy(root, "theirs")
    for folder in (root, theirs):
        edit(folder / "data" / "raw" / "table.csv", "x,y\n1,2\n3,4\n")
    assert "data/raw" in (versioning.stale(root, "first") or "")
    assert versioning.refresh(copy(root, "again")) == ["data/raw/table.csv.dvc"]
    assert ours(root) == ["first run", "last run"]
    dvcs(theirs)
    assert files(root) == files(theirs)
    assert clean(root)
    assert versioning.refresh(root) == []


def test_what_was_run_before_is_restored_and_not_run(root: Path) -> None:
    assert versioning.stale(root, "first") == "it has not run yet"
    ours(root)
    first = files(root)
    edit(root / "params.yaml", "last:\n  n: 2\n")
    assert versioning.stale(root, "last") == "last.n modified"
    assert ours(root) == ["first skipped", "last run"]
    edit(root / "params.yaml", "last:\n  n: 1\n")
    assert ours(root) == ["first skipped", "last restored"]
    assert files(root) == first
    shutil.rmtree(root / "out")
    assert versioning.stale(root, "first") == "its outs are gone"
    assert ours(root) == ["first restored", "last restored"]
    assert files(root) == first
    assert dvcs(root) == []


def test_dvc_restores_what_ran_through_our_door(root: Path) -> None:
    ours(root)
    (root / "dvc.lock").unlink()
    shutil.rmtree(root / "out")
    assert dvcs(root) == ["first", "last"]
    assert clean(root)


def test_outs_are_gone_before_a_stage_runs(root: Path) -> None:
    ours(root)
    edit(root / "code" / "a.py", "a = 2\n")
    with versioning.claim(root, "first") as held:
        assert not held.restore()
        assert not (root / "out" / "first.txt").exists()


def test_an_input_edited_while_its_stage_runs_is_not_certified(root: Path) -> None:
    with versioning.claim(root, "first") as held:
        held.restore()
        work(root, "first")
        edit(root / "code" / "a.py", "a = 2\n")
        with pytest.raises(UserError, match="code: changed while first was running"):
            held.commit()
    assert versioning.stale(root, "first") is not None
    assert not (root / "dvc.lock").exists()


def test_what_changed_after_the_stages_above_had_used_it_is_named(root: Path) -> None:
    assert versioning.changed_above(root, "last") == []
    ours(root)
    edit(root / "params.yaml", "last:\n  n: 2\n")
    assert versioning.changed_above(root, "last") == []  # its own
    edit(root / "data" / "raw" / "table.csv", "x,y\n3,4\n")
    (root / "code" / "b.py").touch()
    assert versioning.changed_above(root, "last") == ["code", "data/raw"]
    assert versioning.changed_above(root, "first") == []


def test_a_failed_stage_is_not_certified_and_leaves_no_lock(root: Path) -> None:
    def fail() -> None:
        with versioning.claim(root, "first") as held:
            held.restore()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not (root / "dvc.lock").exists()
    assert ours(root) == ["first run", "last run"]


def test_compiled_python_files_and_dvcs_own_gitignore_make_nothing_stale(root: Path) -> None:
    ours(root)
    (root / "code" / "__pycache__").mkdir()
    (root / "code" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"1")
    (root / "data" / "raw" / ".gitignore").write_text("/other\n/table.csv\n")
    assert ours(root) == ["first skipped", "last skipped"]


@contextlib.contextmanager
def elsewhere(work: Callable[..., None], root: Path) -> Iterator[tuple[int | None, multiprocessing.synchronize.Event]]:
    """Have another process do work that says when it is ready and waits for its release; yield its PID and that."""
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=work, args=(root, ready, release))
    holder.start()
    try:
        assert ready.wait(20)
        yield holder.pid, release
    finally:
        release.set()
        holder.join()


def _hold(root: Path, ready: multiprocessing.synchronize.Event, release: multiprocessing.synchronize.Event) -> None:
    with versioning.claim(root, "first"):
        ready.set()
        release.wait(20)


def test_a_claimed_stage_is_busy_for_others_who_learn_by_whom(root: Path) -> None:
    with elsewhere(_hold, root) as (pid, _):
        with pytest.raises(UserError, match=rf"DVC is at work .*PID {pid}\)"), versioning.claim(root, "first"):
            pass
        with pytest.raises(Exception, match="failed to reproduce"):
            dvcs(root)
        assert (root / "data" / "raw" / "table.csv").exists()
    assert ours(root) == ["first run", "last run"]


@pytest.mark.parametrize("left", ["", '{"write": {"out/first.txt": {"pid": 12', "3"])
def test_a_list_of_readers_and_writers_that_a_kill_tore_stops_nobody(left: str, root: Path) -> None:
    torn = root / ".dvc" / "tmp" / "rwlock"
    torn.write_text(left)
    with pytest.raises(UserError, match="RWLock-file"), versioning.claim(root, "first"):
        pass  # whoever does not hold the project's lock cannot know that nobody is at work
    assert torn.read_text() == left
    with project.lock(root, "hone tune"):
        assert ours(root) == ["first run", "last run"]
    assert clean(root)
    assert dvcs(root) == []


@pytest.fixture
def other() -> Iterator[int]:
    """The number of another living process."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def listed(root: Path, pid: int, command: str = "hone tune") -> Path:
    """Leave a list of readers and writers as a kill -9 of a process of that number, at the first stage, leaves it."""
    file = root / ".dvc" / "tmp" / "rwlock"
    one = {"pid": pid, "cmd": command}
    file.write_text(json.dumps({"write": {f"{root}/out/first.txt": one}, "read": {f"{root}/code": [one]}}))
    return file


def test_a_killed_process_whose_number_was_given_out_again_stops_nobody(root: Path, other: int) -> None:
    file = listed(root, other)
    with project.lock(root, "hone tune"):
        with pytest.raises(UserError, match="DVC is at work in this project"), versioning.claim(root, "first"):
            pass  # it may have been that process that wrote it
        os.utime(file, (time.time() - 60,) * 2)
        assert ours(root) == ["first run", "last run"]
    assert str(other) not in file.read_text()


def test_a_killed_process_that_nobody_waits_for_stops_nobody(root: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        file = listed(root, process.pid)
        process.kill()
        while psutil.Process(process.pid).status() != "zombie":
            time.sleep(0.01)
        with project.lock(root, "hone tune"):
            assert ours(root) == ["first run", "last run"]
        assert str(process.pid) not in file.read_text()


def test_a_killed_process_whose_number_this_one_has_leaves_nothing_in_the_list(root: Path) -> None:
    file = listed(root, os.getpid(), " ".join(sys.argv))
    with project.lock(root, "hone tune"):
        assert ours(root) == ["first run", "last run"]
    assert json.loads(file.read_text()) in ({}, {"read": {}, "write": {}})


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_lock_file_that_a_kill_tore_is_written_anew_from_the_cache_of_runs(share: float, root: Path) -> None:
    ours(root)
    whole = (root / "dvc.lock").read_bytes()
    (root / "dvc.lock").write_bytes(whole[: int(share * len(whole))])
    with project.lock(root, "hone tune"):
        assert not any("run" in what.split()[1] for what in ours(root))
    assert (root / "dvc.lock").read_bytes() == whole
    assert clean(root)


def test_a_lock_file_with_conflicts_is_a_persons_to_mend(root: Path) -> None:
    ours(root)
    text = f"<<<<<<< ours\n{(root / 'dvc.lock').read_text()}"
    (root / "dvc.lock").write_text(text)
    with project.lock(root, "hone tune"), pytest.raises(UserError, match=r"dvc\.lock"):
        ours(root)
    assert (root / "dvc.lock").read_text() == text


def test_a_whole_list_of_readers_and_writers_is_left_alone(root: Path) -> None:
    with versioning.claim(root, "first"):
        before = (root / ".dvc" / "tmp" / "rwlock").read_bytes()
        with project.lock(root, "hone tune"):
            versioning.order(root)
        assert (root / ".dvc" / "tmp" / "rwlock").read_bytes() == before
        assert b"first.txt" in before


def test_what_dvc_refuses_is_one_line_for_the_user(root: Path, tmp_path: Path) -> None:
    (root / "data" / "raw" / "table.csv").unlink()
    with pytest.raises(UserError, match=r"data/raw/table.csv: tracked by .*table.csv.dvc but not there; `dvc pull`"):
        versioning.refresh(root)
    with pytest.raises(UserError, match="no DVC project here; `git init` and `dvc init`"):
        versioning.order(tmp_path)
    (root / "params.yaml").write_text("last: {}\n")
    edit(root / "dvc.yaml", PIPELINE.replace("[last.n]", "last.n"))
    with pytest.raises(UserError, match=r"^DVC: .*dvc.yaml"):
        versioning.order(root)
    with pytest.raises(UserError) as caught:
        versioning.track(root, root / "nothing.csv")
    assert "\n" not in str(caught.value)


def test_a_dependency_that_is_gone_is_named(root: Path) -> None:
    ours(root)
    shutil.rmtree(root / "code")
    assert versioning.stale(root, "first") == "code deleted"
    with (
        pytest.raises(UserError, match="code: first depends on it, and it is not there"),
        versioning.claim(root, "first"),
    ):
        pass


def test_it_works_from_any_folder_and_leaves_the_working_directory_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ours(root) == ["first run", "last run"]
    assert Path.cwd() == tmp_path
    assert clean(root)


def _push(root: Path, ready: multiprocessing.synchronize.Event, release: multiprocessing.synchronize.Event) -> None:
    """Hold DVC's lock on the project, as a long `dvc push` does."""
    with Repo(str(root)) as repo, lock_repo(repo):
        ready.set()
        release.wait(60)


@pytest.mark.parametrize("ends", [True, False])
def test_another_dvc_command_is_waited_for_and_not_for_ever(
    ends: bool, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with elsewhere(_push, root) as (_, release):
        if ends:
            threading.Timer(4.0, release.set).start()  # DVC itself gives up after three seconds
            assert versioning.order(root) == ["first", "last"]
        else:
            monkeypatch.setattr(versioning, "PATIENCE", 0.0)
            with pytest.raises(UserError, match="DVC is at work in this project"):
                versioning.order(root)
    assert ("waiting for it" in caplog.text) == ends
