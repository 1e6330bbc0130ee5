"""`python -m tests.chaos`: see `command`."""

import importlib
import os
import sys

# Before NumPy and torch are loaded: forks must find no threads of theirs.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.update(DO_NOT_TRACK="1", MLFLOW_DISABLE_TELEMETRY="true", DVC_NO_ANALYTICS="true")

if __name__ == "__main__":
    sys.exit(importlib.import_module("tests.chaos.command").main())
