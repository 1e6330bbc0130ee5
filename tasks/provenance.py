"""Where a run's results come from, as tags: versions of the data, the code, the params, the packages and Python."""

import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import pipeline

LOCK_FILE = "requirements.lock"
# A pipeline at work writes these itself; they make no tree dirty.
WRITTEN = ("dvc.lock", "budget.lock")
# These sections of params.yaml cannot change a result.
SILENT = ("execution", "tracking", "schedule")


def tags(root: Path, params: Mapping[str, Any], data_hash: str) -> dict[str, str]:
    """Return tags for a run of the project at `root`.

    params: the whole of params.yaml, defaults filled in. Outside of a git repository, or before its first commit,
    the commit is "none". A tree is dirty if tracked files are changed, or files are neither tracked nor ignored.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD") or "none"
    changes = _git(root, "status", "--porcelain", "--", ".", *(f":(exclude){name}" for name in WRITTEN))
    return {
        "hone.data_hash": data_hash,
        "hone.git_commit": commit,
        "hone.git_dirty": "unknown" if changes is None else str(bool(changes)).lower(),
        "hone.params_hash": pipeline.hash_json({name: params[name] for name in params if name not in SILENT}),
        "hone.lock_hash": pipeline.hash_path(root / LOCK_FILE),
        "hone.python": platform.python_version(),
        **({} if commit == "none" else {"mlflow.source.git.commit": commit}),  # MLflow's own pages show this one
    }


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or None if it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
