"""Opens MLflow's pages on the project's own runs."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from flows import processes
from flows.server import checked
from hone.errors import UserError, without_secrets
from tasks.params import load_params
from tasks.pipeline import pipeline_fingerprint
from tasks.tracking import OFF, views
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import SERVERS, one_line, resolve, shown, sqlite_path

LOG = ".work/mlflow-server.log"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables of which one is set where there are windows."""
OPEN = """
import os, sys, time, urllib.request, webbrowser
page, health = sys.argv[1:]
server = os.getppid()
while os.getppid() == server:
    try:
        urllib.request.urlopen(health, timeout=1).close()
    except OSError:
        time.sleep(0.3)
    else:
        webbrowser.open(page)
        break
"""
"""Opens a page in the person's browser once the server answers, unless it has ended."""


def ui(root: Path, port: int) -> None:
    """Serve MLflow's pages on 127.0.0.1, from the store that params.yaml names, until Ctrl-C.

    If that is a server already, its address is printed instead. Raises UserError if there is no store, it is a
    database that SQLite cannot open or write, or the port is taken.
    """
    params = load_params(root)
    tracking = params.tracking
    named = tracking.uri
    if named == OFF:
        raise UserError("tracking.uri: none, so there are no runs to show; leave it empty for mlflow.db in the project")
    uri = resolve(root, named)
    key = pipeline_fingerprint(root, params.model_dump(mode="json"), params.data.source)
    if uri.startswith(SERVERS):
        print(f"this project tracks to a server: {shown(uri)}")
        print(*views.lines(root, without_secrets(uri), tracking.model, key), sep="\n")
        return
    checked(port)
    if sqlite_path(uri) is not None:
        try:
            connect(uri)  # makes what tables are not there in one go: half of the server's own making cannot be used
        except sqlite3.Error as error:
            raise UserError(
                f"tracking.uri: {shown(uri)} cannot be used ({one_line(error)}); mend that, or name another database"
            ) from error
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # a command line, and a password in it, is everybody's to read
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # What runs MLflow's jobs are eight processes more, and Hone gives it none.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.environ["MLFLOW_REGISTRY_STORE_URI"] = uri
    os.environ["PYTHONWARNINGS"] = "ignore"  # MLflow's of its own packages
    # One process is enough for one person, and starts sooner than four.
    options = ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *options]
    print(f"MLflow: http://127.0.0.1:{port} in some seconds (Ctrl-C ends it)")
    print(*views.lines(root, uri, tracking.model, key, port), sep="\n", flush=True)
    if sys.stdout.isatty() and (sys.platform == "darwin" or any(os.environ.get(name) for name in DISPLAYS)):
        first = views.links(root, uri, tracking.model, key, port)[0][1]
        # A process of its own: a browser has to wait for the server.
        subprocess.Popen(
            [sys.executable, "-c", OPEN, first, f"http://127.0.0.1:{port}/health"], stdin=subprocess.DEVNULL
        )
    log = root / LOG
    log.parent.mkdir(exist_ok=True)
    # Of a group of its own: Ctrl-C would end it with a traceback of its own.
    with log.open("wb") as output, processes.child([sys.executable, *command], stdout=output, stderr=output) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt as end:
            if type(end) is not KeyboardInterrupt:  # but SIGTERM
                raise
            return
        finally:
            processes.end_children()
    raise UserError(f"MLflow's server ended with code {code}; what it said is in {LOG}")


if __name__ == "__main__":
    from flows import cli

    cli.run(["ui", *sys.argv[1:]])
