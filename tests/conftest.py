"""What all tests share: nothing they run asks the network, and none of it computes on more than one thread."""

import os
from collections.abc import Iterator

import pytest

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[None]:
    """One Prefect API for all flows that run in the tests' own process."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield
