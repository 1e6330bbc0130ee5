"""Each kind of fault but those of Prefect, once: nothing is lost. `python -m tests.chaos` tries hundreds, of all."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_by_any_kind_of_fault():
    command = [sys.executable, "-m", "tests.chaos", "--each", "1", "--jobs", "2", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
