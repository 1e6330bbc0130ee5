"""What all tests share: nothing they run asks the network, and none of it computes on more than one thread."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flows  # noqa: F401 (sets what Prefect reads when it is imported)

pytest_plugins = ("tests.browser",)
BOTH_DOORS = ("test_doors.py", "test_dvc.py", "test_mlflow.py", "test_mlflow_pages.py", "test_reproduce.py")
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")
os.environ["PREFECT_PROFILES_PATH"] = os.devnull  # or a developer's own profile would send the tests' runs elsewhere
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # As a shell has it for what it starts in the background; commands under test would never hear of Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """One Prefect API for all flows that run in the tests' own process."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take longest, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a file to one process, and so the files that share finished pipelines, which take minutes."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::")[0]
            return "both doors" if Path(file).name in BOTH_DOORS else file

    return Together(config, log)
