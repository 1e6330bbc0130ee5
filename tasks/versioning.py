"""All that Hone asks of DVC, so that work done outside `dvc repro` leaves what `dvc repro` would have left.

Each function does what DVC 3.67 does at the same moment of a reproduction: `dvc.stage.Stage.reproduce` and `run`,
`dvc.stage.run.run_stage`, `dvc.repo.reproduce`. DVC's errors leave here as UserErrors.
"""

import atexit
import contextlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import yaml

from hone.errors import UserError, of_the_machine
from tasks import files, project
from tasks.record import overlap

PATIENCE = 600.0
"""Seconds for which another DVC command is waited for: a stage that has ended is not to be lost for it."""

CLOCKS = 1.0
"""Seconds by which a process's start may seem later than it was: that of the machine is told in whole ones."""
_claimed: list[str] = []
"""Names of the stages that this process holds."""


def order(root: Path) -> list[str]:
    """Return the names of the pipeline's stages in the order in which `dvc repro` takes them.

    dvc.lock lists stages in the order of their first commit, so both doors must walk the same way.
    """
    with _repo(root) as repo:
        return [stage.name for stage in _plan(repo) if not stage.is_data_source]


def refresh(root: Path) -> list[str]:
    """Bring the .dvc files of tracked inputs up to what is on disk; return those that had changed.

    Raises UserError if a tracked file is gone.
    """
    with _repo(root) as repo:
        changed = []
        for stage in (stage for stage in _plan(repo) if stage.is_data_source):
            missing = [str(out) for out in stage.outs if not out.exists]
            if missing and not stage.frozen:
                raise UserError(
                    f"{missing[0]}: tracked by {stage.relpath} but not there; "
                    "`dvc pull` or `dvc checkout` brings it back, `dvc remove` forgets it"
                )
            if stage.reproduce() is not None:
                stage.dump(update_pipeline=False)
                changed.append(str(stage.relpath))
        return changed


def fresh(root: Path) -> list[str] | None:
    """Return the names of all stages, in the order of `order`, if none is stale and no tracked input has changed.

    None otherwise, and where no stage has run yet. It opens the project once, and writes nothing.
    """
    if not (root / "dvc.lock").exists():
        return None
    with _repo(root) as repo:
        stages = _plan(repo)
        if any(stage.status() for stage in stages):
            return None
        return [stage.name for stage in stages if not stage.is_data_source]


def stale(root: Path, name: str) -> str | None:
    """Return why a stage must run, in a few words, or None if its outs are what its inputs call for."""
    with _repo(root) as repo:
        stage = _stage(repo, name)
        status = stage.status()
        if status and not any(out.hash_info for out in stage.outs):
            return "it has not run yet"
        return _reason(next(iter(status.values()))) if status else None


def changed_above(root: Path, name: str) -> list[str]:
    """Return what is no longer as the stages above one found it: paths, and params by dotted key.

    Of a stage that dvc.lock does not have, nobody knows what it found; a frozen one is to stay as it is.
    """
    from dvc.repo.reproduce import get_active_graph, plan_repro

    if not (root / "dvc.lock").exists():
        return []
    with _repo(root) as repo:
        below = _stage(repo, name)
        above = [stage for stage in plan_repro(get_active_graph(repo.index.graph), [below]) if stage != below]
        used = [stage for stage in above if not stage.frozen and any(out.hash_info for out in stage.outs)]
        # Stages share most of their code; each file is looked at once.
        deps = {(str(dep), repr(dep.hash_info)): dep for stage in used for dep in stage.deps}
        return sorted({what for dep in deps.values() for what in _moved(dep)})


@dataclass(frozen=True)
class Claim:
    """A stage that this process holds. inputs: hashes of what it depends on, when it was claimed."""

    root: Path
    name: str
    inputs: dict[str, str] = field(repr=False)

    def restore(self) -> bool:
        """Return True if the stage's outs could be brought back from the cache or from the cache of runs.

        If not, they are gone afterwards: a stage's function starts with none, through either door.
        """
        from dvc.stage.cache import RunCacheNotFoundError

        with _repo(self.root) as repo:
            stage = _stage(repo, self.name)
            stage.remove_outs(ignore_remove=False, force=False)
            try:
                repo.stage_cache.restore(stage)
            except RunCacheNotFoundError:
                return False
            _save(stage)
            return True

    def commit(self) -> None:
        """Certify what is on disk as the stage's outs, in dvc.lock and in both caches.

        Call it right after the stage's function succeeded. Raises UserError, leaving dvc.lock as it was, if an
        input was edited meanwhile: nobody could say which version of it the outs came from.
        """
        with _repo(self.root) as repo:
            stage = _stage(repo, self.name)
            now = _inputs(stage)
            edited = sorted(key for key in now.keys() | self.inputs.keys() if now.get(key) != self.inputs.get(key))
            if edited:
                raise UserError(
                    f"{', '.join(edited[:3])}: changed while {self.name} was running, so its results were not kept; "
                    "run the same command again"
                )
            _save(stage)


@contextlib.contextmanager
def claim(root: Path, name: str) -> Iterator[Claim]:
    """Hold a stage's files for this process, so that a `dvc repro` beside it says at once who is at work on them.

    This is the lock that DVC itself holds while a stage's command runs. Raises UserError if another has it.
    """
    from dvc.rwlock import rwlock

    with _repo(root) as repo:
        stage = _stage(repo, name)
        inputs = _inputs(stage)
        reads = [dep.fs_path for dep in stage.deps]
        writes = [out.fs_path for out in stage.outs]
        folder, fs = repo.tmp_dir, repo.fs
        hard = repo.config["core"].get("hardlink_lock", False)
    # The command must be spelled as DVC spells it: its own calls from this process then count as the same holder.
    hold = rwlock(folder, fs, " ".join(sys.argv), reads, writes, hard)
    with _as_user_errors():
        hold.__enter__()
    _claimed.append(name)
    try:
        yield Claim(root, name, inputs)
    finally:
        _claimed.remove(name)
        hold.__exit__(None, None, None)


def track(root: Path, path: Path) -> Path:
    """Put a file inside the project under DVC, as `dvc add` does; return the path of its .dvc file."""
    with _repo(root) as repo, repo.scm_context(quiet=True):
        (stage,) = repo.add(str(path))
        return Path(stage.path)


@dataclass(frozen=True)
class Planned:
    """A stage as dvc.yaml states it. outs: by path from the project, the hash in dvc.lock; None where it has none.

    edited: what it depends on, no stage writes, and is not what it was when dvc.lock was written.
    """

    name: str
    commands: tuple[str, ...]
    folder: Path
    outs: Mapping[str, str | None]
    edited: tuple[str, ...]


def plan(root: Path) -> list[Planned]:
    """Return the pipeline's stages in the order in which `dvc repro` takes them."""
    with _repo(root, _aside(root)) as repo:
        stages = [stage for stage in _plan(repo) if not stage.is_data_source]
        # Data has a hash of its own: a folder of it may hold more than is used, and holds an out.
        written = [_from(root, out) for stage in repo.index.stages for out in stage.outs]
        return [
            Planned(
                name=stage.name,
                commands=tuple(stage.cmd if isinstance(stage.cmd, list) else str(stage.cmd).splitlines()),
                folder=Path(stage.wdir),
                outs={_from(root, out): out.hash_info.value for out in stage.outs},
                edited=tuple(_edited(root, stage, written)) if any(out.hash_info for out in stage.outs) else (),
            )
            for stage in stages
        ]


def tracked(root: Path) -> list[str]:
    """Return the paths, from the project, of all that .dvc files track."""
    with _repo(root, _aside(root)) as repo:
        return [_from(root, out) for stage in repo.index.stages if stage.is_data_source for out in stage.outs]


def bring(root: Path, source: Path, named: Collection[str]) -> None:
    """Bring what .dvc files track into a checkout of a project, from the project's cache, or else from its remote.

    root: the checkout. source: the project. named: paths that are needed; of the rest, what is missing stays away.
    Raises UserError for what is needed and in neither.
    """
    with _repo(root, _shared(root, source)) as repo:
        for stage in [stage for stage in repo.index.stages if stage.is_data_source]:
            needed = [path for path in named for out in stage.outs if overlap(path, _from(root, out))]
            if (why := _brought(repo, str(stage.relpath))) and needed:
                raise UserError(
                    f"{needed[0]}: the version wanted (md5 {stage.outs[0].hash_info.value}) is not in DVC's cache, and "
                    f"could not be fetched ({why}); `dvc push` it where it is still, then `dvc remote add` and "
                    "`dvc fetch` here"
                )


def cached(root: Path, md5: str) -> Path | None:
    """Return the file of a hash in the project's cache, or None. A folder's is the list of its files."""
    from dvc.repo import Repo

    with _as_user_errors(), Repo(str(root)) as repo:
        path = Path(repo.cache.local.oid_to_path(md5))
        return path if path.is_file() else None


def _brought(repo: Any, target: str) -> str | None:
    """Return why what a .dvc file tracks cannot be brought, or None after doing it."""
    from dvc.exceptions import CheckoutError, DvcException

    why = ""
    for fetch in (False, True):
        try:
            if fetch:
                repo.fetch(targets=[target])
            repo.checkout(targets=[target], force=True)
            return None
        except CheckoutError:
            why = "the remote does not have it"
        except DvcException as error:
            why = _flat(error)
    return why


def _edited(root: Path, stage: Any, written: Collection[str]) -> Iterator[str]:
    for dep in stage.deps:
        if any(overlap(_from(root, dep), out) for out in written):
            continue
        yield from _moved(dep)


def _moved(dep: Any) -> Iterator[str]:
    """Yield what of a dependency is not as dvc.lock has it: its path, or the keys of params."""
    for path, what in dep.status().items():
        yield from what if isinstance(what, dict) else [path]


def _from(root: Path, entry: Any) -> str:
    path = Path(entry.fs_path)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _aside(root: Path) -> dict[str, Any]:
    """Return settings with which DVC leaves nothing outside of a throw-away checkout."""
    return {"core": {"site_cache_dir": str(root / ".work" / "dvc")}}


def _shared(root: Path, source: Path) -> dict[str, Any]:
    """Return the settings of a project, its own and its user's, for a checkout that is to share its cache."""
    from dvc.repo import Repo

    with _as_user_errors(), Repo(str(source)) as repo:
        config = {section: dict(values) for section, values in repo.config.items()}
        config["cache"]["dir"] = repo.cache.local_cache_dir
    config["core"] |= _aside(root)["core"]
    return config


@contextlib.contextmanager
def _repo(root: Path, config: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Open the project, locked. DVC reads the working directory in places, so it is the root meanwhile.

    config: settings over those in the project's own files.
    """
    with _as_user_errors(), contextlib.chdir(root):
        from dvc.repo import Repo

        _silence()
        with Repo(str(root), config=config) as repo, _locked(repo), repo.scm_context(quiet=True):
            if project.is_held(root):
                _heal(repo)
            yield repo


def _silence() -> None:
    """Turn off DVC's bars and its notes; nobody called DVC. Call it after DVC's import, which sets these levels.

    DVC draws bars while its loggers are at ERROR or below, in two classes that each ask a logger of their own. At exit
    colorama, which DVC starts, would write to the stream that it found: the live line's, which shows it as text.
    """
    import colorama

    atexit.unregister(colorama.initialise.reset_all)
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("dvc.progress", "dvc_data.callbacks"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _locked(repo: Any) -> Iterator[None]:
    """Hold DVC's lock on a project; a push or a pull holds it to its end, and DVC itself waits for seconds only."""
    from dvc.lock import LockError
    from dvc.repo import lock_repo

    end, told = time.monotonic() + PATIENCE, False
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock_repo(repo))
                break
            except LockError:
                if time.monotonic() > end:
                    raise
                if not told:
                    logging.getLogger(__name__).warning("DVC is at work in this project: waiting for it")
                told = True
        yield


def _heal(repo: Any) -> None:
    """Mend what a kill left of DVC's files, which DVC would refuse all work for: who reads and writes what, dvc.lock.

    The caller holds the project's lock: no stage of Hone's is at work but this process's and its parents'. What
    dvc.lock said is in git, and in the cache of runs, from which stages are restored.
    """
    from dvc.dvcfile import LOCK_FILE
    from dvc.lock import make_lock
    from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

    lock_file = Path(repo.root_dir) / LOCK_FILE
    if lock_file.exists() and _is_torn(lock_file.read_bytes()):
        lock_file.replace(Path(repo.tmp_dir) / f"{LOCK_FILE}.torn")

    file = Path(repo.tmp_dir) / RWLOCK_FILE
    if _mended(file) is None:
        return
    # DVC rewrites the file in place under this lock: whoever holds it sees no half of a living process's writing.
    hard = repo.config["core"].get("hardlink_lock", False)
    with make_lock(str(file.with_name(RWLOCK_LOCK)), tmp_dir=repo.tmp_dir, hardlink_lock=hard):
        if (mended := _mended(file)) is not None:
            files.write_text(file, mended)


@lru_cache(maxsize=2)  # it is asked at every call
def _is_torn(content: bytes) -> bool:
    """Return whether this is no dvc.lock, and nobody can be at work on it: git's marks of a conflict are a person's."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    if b"<<<<<<<" in content:
        return False
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, Invalid):
        return True
    return False


def _mended(file: Path) -> str | None:
    """Return a list of readers and writers without those that cannot be at work; None if it holds no such, or is not
    there."""
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        listed, written = SCHEMA(json.loads(file.read_bytes())), file.stat().st_mtime
    except FileNotFoundError:
        return None
    except (ValueError, Invalid):
        return "{}"
    writers = {path: one for path, one in listed["write"].items() if _can_work(one["pid"], written)}
    some = {path: [one for one in each if _can_work(one["pid"], written)] for path, each in listed["read"].items()}
    mended = {"write": writers, "read": {path: each for path, each in some.items() if each}}
    return None if mended == listed else json.dumps(mended)


def _can_work(pid: int, written: float) -> bool:
    """Return whether the process of a number can be the one that wrote it down: a dead one's is given out again.

    DVC only asks whether there is such a process. In a container, the next one soon has the same number.
    """
    if pid == os.getpid():
        return bool(_claimed)
    try:
        process = psutil.Process(pid) if psutil.pid_exists(pid) else None
        return process is not None and process.create_time() <= written + CLOCKS and process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # it is another person's
        return True


@contextlib.contextmanager
def _as_user_errors() -> Iterator[None]:
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError

    try:
        yield
    except NotDvcRepoError as error:
        raise UserError("no DVC project here; `git init` and `dvc init` make one, then try again") from error
    except LockError as error:
        raise UserError(f"DVC is at work in this project: {_flat(error)}") from error
    except DvcException as error:
        raise UserError(f"DVC: {_flat(error)}") from error
    except OSError as error:
        if (failed := of_the_machine(error)) is not None:
            raise failed from error
        raise


def _flat(error: BaseException) -> str:
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 2:
        causes.append(" ".join(str(cause).split()))
        cause = cause.__cause__
    return ": ".join(text for text in causes if text)


def _plan(repo: Any) -> list[Any]:
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    stages: list[Any] = plan_repro(get_active_graph(repo.index.graph), collect_stages(repo, [PROJECT_FILE]))
    return stages


def _stage(repo: Any, name: str) -> Any:
    (stage,) = repo.stage.collect(name)
    return stage


def _save(stage: Any) -> None:
    from dvc.dvcfile import LOCK_FILE, Lockfile

    uncached = any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))
    stage.save(run_cache=not uncached)
    stage.commit()
    # DVC writes its lock file in place, where a kill would leave half of it.
    whole = Path(stage.path).with_name(LOCK_FILE)
    partial = Path(stage.repo.tmp_dir) / LOCK_FILE
    partial.unlink(missing_ok=True)
    if whole.exists():
        shutil.copyfile(whole, partial)
    Lockfile(stage.repo, str(partial)).dump(stage)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(whole)
    scm = stage.repo.scm_context  # which stages what is written, where a person has asked DVC for that
    scm.files_to_track.discard(os.path.relpath(partial))
    scm.track_file(os.path.relpath(whole))


def _inputs(stage: Any) -> dict[str, str]:
    """Return a hash for each dependency, and the value itself for each of the params."""
    found = {}
    for dep in stage.deps:
        if not dep.exists:
            raise UserError(
                f"{dep}: {stage.name} depends on it, and it is not there; `git status` or `dvc status` may say why"
            )
        hashed = dep.get_hash()
        if isinstance(hashed.value, dict):
            found.update({key: repr(value) for key, value in hashed.value.items()})
        else:
            found[str(dep)] = str(hashed.value)
    return found


def _reason(status: list[Any]) -> str:
    """Return the most telling part of DVC's status of one stage: what it depends on, before what it wrote."""
    words = []
    for kind in ("changed deps", "changed outs"):
        for entry in (entry[kind] for entry in status if isinstance(entry, dict) and kind in entry):
            for path, what in entry.items():
                words += [f"{key} {how}" for key, how in what.items()] if isinstance(what, dict) else [f"{path} {what}"]
    words += [entry for entry in status if isinstance(entry, str)]
    gone = all(isinstance(entry, dict) and set(entry) == {"changed outs"} for entry in status)
    if gone and all(word.endswith(" deleted") for word in words):
        return "its outs are gone"
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
