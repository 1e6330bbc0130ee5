"""Where a run's results come from, as tags: versions of the data, the code, the params, the packages and Python.

`python -m tasks.provenance` prints them as JSON: a former commit says by its own code what a run there would carry.
"""

import json
import platform
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hone.errors import printable
from tasks import pipeline

LOCK_FILE = "requirements.lock"
# A pipeline at work writes these itself; they make no tree dirty.
WRITTEN = ("dvc.lock", "budget.lock")
# These sections of params.yaml cannot change a result.
SILENT = ("execution", "tracking", "schedule")
SHOWN = 20  # changed files that a tag names
FACTS = ("hone.data_hash", "hone.params_hash", "hone.lock_hash", "hone.python")
"""Those tags that nobody reads on a page; a run keeps them in a file of facts."""


def tags(root: Path, params: Mapping[str, Any], data_hash: str, refreshed: Collection[str] = ()) -> dict[str, str]:
    """Return tags for a run of the project at `root`.

    params: the whole of params.yaml, defaults filled in. refreshed: the .dvc files of inputs, which a run brings up to
    date itself: a change in them makes no tree dirty, as a run says elsewhere what they hold. Outside of a git
    repository, or before its first commit, the commit is "none". A tree is dirty if tracked files are changed, or
    files are neither tracked nor ignored; which, the tag `hone.git_changes` says.
    """
    commit = git(root, "rev-parse", "--verify", "HEAD") or "none"
    changes = _changes(root, refreshed)
    return {
        "hone.data_hash": data_hash,
        "hone.git_commit": commit,
        "hone.git_dirty": "unknown" if changes is None else str(bool(changes)).lower(),
        "hone.git_changes": _listed(changes or []) or "none",
        "hone.params_hash": pipeline.hash_json({name: params[name] for name in params if name not in SILENT}),
        "hone.lock_hash": pipeline.hash_path(root / LOCK_FILE),
        "hone.python": platform.python_version(),
        **({} if commit == "none" else {"mlflow.source.git.commit": commit}),  # MLflow's own pages show this one
    }


def revision(root: Path) -> str:
    """Return the commit in short, with a + behind it if the tree differs from it; "uncommitted" if there is none."""
    commit = git(root, "rev-parse", "--short", "--verify", "HEAD")
    if commit is None:
        return "uncommitted"
    return f"{commit}+" if _changes(root, ()) else commit


def main() -> int:
    """Print the tags of a run of the project in the working directory, and its pipeline's key; return the exit code."""
    from tasks import terminal
    from tasks.params import load_params

    def work() -> None:
        root = Path.cwd()
        params = load_params(root)
        content, source = params.model_dump(mode="json"), params.data.source
        found = tags(root, content, pipeline.data_hash(root, source))
        print(json.dumps({**found, "pipeline": pipeline.pipeline_fingerprint(root, content, source)}))

    return terminal.guarded(work)


def _changes(root: Path, refreshed: Collection[str]) -> list[str] | None:
    """Return the files that git finds changed or new, relative to the project; None if it cannot say."""
    excluded = (f":(exclude){name}" for name in WRITTEN)
    status = git(root, "status", "--porcelain", "-z", "--no-renames", "--", ".", *excluded)
    if status is None:
        return None
    prefix = git(root, "rev-parse", "--show-prefix") or ""
    entries = [(entry[:2], entry[3:].removeprefix(prefix) or ".") for entry in status.split("\0") if entry]
    return [path for kind, path in entries if not (path in refreshed and set(kind) <= {" ", "M"})]


def _listed(paths: list[str]) -> str:
    shown = (printable(path.replace("\n", "\\n")) for path in paths[:SHOWN])
    return ", ".join(shown) + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")


def git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or None if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Names of files may be any bytes, and end up in a tag.
    return done.stdout.decode(errors="backslashreplace").rstrip("\n") if done.returncode == 0 else None


if __name__ == "__main__":
    from tasks.terminal import leave

    leave(main())
