"""A small project that runs the real first stages."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.flows.editing import HERE, change


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the pipeline's first two stages, as the real dvc.yaml states them, on scikit-learn's wine."""
    root = tmp_path / "project"
    root.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    for name in ("hone", "tasks", "custom"):
        shutil.copytree(HERE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "requirements.lock", ".dvcignore"):
        shutil.copy(HERE / name, root)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {tmp_path}/site\n")
    stages = yaml.safe_load((HERE / "dvc.yaml").read_text())["stages"]
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {name: stages[name] for name in ("ingest", "split")}}))
    change(root, "sklearn:digits", "sklearn:wine")
    change(root, "uri:      ", "uri: none ")
    monkeypatch.chdir(root)
    monkeypatch.delenv("HONE_LOCK_HOLDER", raising=False)
    assert os.environ["DO_NOT_TRACK"] == "1"
    return root
