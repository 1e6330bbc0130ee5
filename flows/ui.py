"""Opens MLflow's pages on the project's own runs."""

import os
import sys
from pathlib import Path

from flows.server import checked
from tasks.params import load_params
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import SERVERS, resolve, shown, sqlite_path


def ui(root: Path, port: int) -> None:
    """Become MLflow's server on 127.0.0.1, on the store that params.yaml names; does not return.

    If that is a server already, its address is printed instead. Raises UserError if the port is taken.
    """
    uri = resolve(root, load_params(root).tracking.uri)
    if uri.startswith(SERVERS):
        print(f"this project tracks to a server: {shown(uri)}")
        return
    checked(port)
    if sqlite_path(uri) is not None:
        connect(uri)  # makes what tables are not there in one go: half of the server's own making cannot be used
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # a command line, and a password in it, is everybody's to read
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # What runs MLflow's jobs are eight processes more, and Hone gives it none.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.environ["MLFLOW_REGISTRY_STORE_URI"] = uri
    os.environ["PYTHONWARNINGS"] = "ignore"  # MLflow's of its own packages
    # One process is enough for one person, and starts sooner than four.
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options]
    print(f"MLflow: http://127.0.0.1:{port} in some seconds (Ctrl-C ends it)", flush=True)
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    from flows import cli

    cli.run(["ui", *sys.argv[1:]])
