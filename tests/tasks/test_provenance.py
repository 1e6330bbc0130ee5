"""Tags that tell where results come from."""

import os
import subprocess
from pathlib import Path

import pytest

from tasks import provenance
from tasks.params import Params

PARAMS = Params().model_dump(mode="json")


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "requirements.lock").write_text("numpy==2.4.6\n")
    (tmp_path / ".gitignore").write_text("mlflow.db*\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_tree_is_named_by_its_commit(repository: Path) -> None:
    tags = provenance.tags(repository, PARAMS, "d1")
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert tags["hone.git_commit"] == tags["mlflow.source.git.commit"] == commit
    assert tags["hone.git_dirty"] == "false"
    assert tags["hone.data_hash"] == "d1"


@pytest.mark.parametrize(
    ("name", "dirty"),
    [("requirements.lock", "true"), ("new.py", "true"), ("dvc.lock", "false"), ("mlflow.db", "false")],
)
def test_a_tree_is_dirty_by_what_people_change_and_not_by_what_runs_write(
    repository: Path, name: str, dirty: str
) -> None:
    (repository / name).write_text("changed")
    assert provenance.tags(repository, PARAMS, "d1")["hone.git_dirty"] == dirty


def test_a_newer_version_of_the_data_makes_no_tree_dirty_but_data_that_git_does_not_know_does(repository: Path) -> None:
    project = repository / "below"
    tracked = project / "data" / "raw" / "t.csv.dvc"
    tracked.parent.mkdir(parents=True)
    tracked.write_text("outs: [{md5: a, path: t.csv}]")

    def changes() -> str:
        tags = provenance.tags(project, PARAMS, "d", ["data/raw/t.csv.dvc"])
        assert tags["hone.git_dirty"] == str(tags["hone.git_changes"] != "none").lower()
        return tags["hone.git_changes"]

    assert changes() != "none"
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "data")
    tracked.write_text("outs: [{md5: b, path: t.csv}]")
    assert changes() == "none"
    git(repository, "add", ".")
    assert changes() == "none"
    (project / "notes.txt").write_text("x")
    assert changes() == "notes.txt"
    tracked.unlink()
    assert changes() == "data/raw/t.csv.dvc, notes.txt"


def test_outside_of_git_there_is_no_commit(tmp_path: Path) -> None:
    tags = provenance.tags(tmp_path, PARAMS, "d1")
    assert tags["hone.git_commit"] == "none"
    assert "mlflow.source.git.commit" not in tags
    assert tags["hone.lock_hash"] == "missing"


def test_params_are_hashed_without_those_that_cannot_change_a_result(tmp_path: Path) -> None:
    def hash_of(**changes: object) -> str:
        return provenance.tags(tmp_path, {**PARAMS, **changes}, "d")["hone.params_hash"]

    assert hash_of(execution={"workers": 7}, tracking={"uri": "x"}, schedule={}) == hash_of()
    assert hash_of(seed=1) != hash_of()


def test_the_lock_file_is_hashed(repository: Path) -> None:
    before = provenance.tags(repository, PARAMS, "d")["hone.lock_hash"]
    (repository / "requirements.lock").write_text("numpy==2.4.7\n")
    assert provenance.tags(repository, PARAMS, "d")["hone.lock_hash"] != before


def test_names_of_files_may_be_any_bytes(repository: Path) -> None:
    (repository / os.fsdecode(b"caf\xe9.txt")).write_text("")
    (repository / "a\nb").write_text("")
    said = provenance.tags(repository, PARAMS, "d1")["hone.git_changes"]
    assert said.isprintable()
    assert "caf\\xe9.txt" in said
