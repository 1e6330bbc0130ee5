"""Where a project is, and who is at work in it."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

from hone.errors import UserError

LOCK = ".work/lock"
SERVED_BY = "HONE_SERVED_BY"
"""The variable that names the process of `hone serve` to the runs that it starts."""


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (default: the working directory) that holds params.yaml.

    Raises UserError if there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise UserError(f"params.yaml: not found in {here} or above; run Hone inside a project")


class LockedError(UserError):
    """Another process holds the project's lock."""


@contextlib.contextmanager
def lock(root: Path, who: str) -> Iterator[None]:
    """Hold the project's lock; raise LockedError, a UserError naming the holder, if another process has it.

    The operating system frees the lock when its holder dies, however that happens. A holder's children find
    the lock theirs already, so that a stage may be started from a process that holds it.
    """
    path = root / LOCK
    path.parent.mkdir(exist_ok=True)
    if is_held(root):
        yield
        return
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"this project is locked by {_holder(path)}; wait for it, or end it") from None
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "who": who}))
        file.flush()
        os.environ["HONE_LOCK_HOLDER"] = str(root)
        try:
            yield
        finally:
            del os.environ["HONE_LOCK_HOLDER"]
            file.truncate(0)


def is_held(root: Path) -> bool:
    """Return whether the project's lock is this process's, or its parent's."""
    return os.environ.get("HONE_LOCK_HOLDER") == str(root)


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"`{held['who']}` (process {held['pid']})"
    except (OSError, ValueError, KeyError):
        return "another process"
