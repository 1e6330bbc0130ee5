"""One process works in a project at a time, and the loser is told who."""

import subprocess
import sys

import pytest

from hone.errors import UserError
from tasks import project


@pytest.fixture
def root(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    return tmp_path


def test_the_root_is_found_from_below(root):
    below = root / "a" / "b"
    below.mkdir(parents=True)
    assert project.find_root(below) == root


def test_no_project_is_said_so(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: not found"):
        project.find_root(tmp_path)


def test_the_second_is_told_who_holds_the_lock(root):
    code = f"from pathlib import Path; from tasks import project\nwith project.lock(Path({str(root)!r}), 'me'): pass"
    with project.lock(root, "python -m flows.tune"):
        environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)}
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert second.returncode == 1
    assert "locked by `python -m flows.tune` (process " in second.stderr


def test_a_killed_holder_leaves_no_lock(root):
    code = (
        "import os, signal; from pathlib import Path; from tasks import project\n"
        f"with project.lock(Path({str(root)!r}), 'me'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], env={"PATH": "", "PYTHONPATH": ":".join(sys.path)})
    with project.lock(root, "next"):
        pass


def test_a_holders_own_child_may_work(root):
    code = f"from pathlib import Path; from tasks import project\nwith project.lock(Path({str(root)!r}), 'me'): pass"
    with project.lock(root, "parent"):
        subprocess.run([sys.executable, "-c", code], check=True)
