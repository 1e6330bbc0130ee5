"""The Prefect API that a command talks to: one that is configured, one that `hone serve` runs, or a child."""

import contextlib
import os
import queue
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flows import processes
from hone.errors import UserError
from tasks.tracking.uri import hidden, one_line

SERVER = "server"
LOG, HOME = ".work/prefect-server.log", ".prefect"
PATIENCE = 180.0
"""Seconds a server may take to start. It makes its database the first time: 10 s, on a busy machine much more."""


@dataclass(frozen=True)
class Api:
    """Where a Prefect API is. pid: the process that answers there, if it is a child of this one."""

    url: str
    pid: int | None = None


@contextlib.contextmanager
def api(
    root: Path, *, port: int | None = None, lasting: bool = False, meanwhile: Callable[[], object] = lambda: None
) -> Iterator[Api]:
    """Yield a Prefect API, in use as long as the body lasts.

    A configured PREFECT_API_URL is taken as it is; then the server of a `hone serve` of this project; else a server
    is started as a child, on 127.0.0.1 only. port: of such a child; None is a free one. lasting: the child also
    schedules and serves the UI, and others of this project find it. meanwhile: what to do while it starts.

    Raises UserError if the port is taken, or nobody answers where one is configured.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    configured = PREFECT_API_URL.value()
    if configured:
        meanwhile()
        _refuse_silent(configured)
        yield Api(configured)
        return
    running = processes.note(root, SERVER)
    if running is not None and not lasting:
        meanwhile()
        with temporary_settings({PREFECT_API_URL: running["url"]}):
            yield Api(running["url"])
        return
    with _started(root, port, lasting, meanwhile) as started, contextlib.ExitStack() as stack:
        if lasting:
            stack.enter_context(processes.noted(root, SERVER, url=started.url))
        stack.enter_context(temporary_settings({PREFECT_API_URL: started.url}))
        try:
            yield started
        finally:
            _send_the_rest()


def _refuse_silent(url: str) -> None:
    """Raise UserError if nobody answers at a configured PREFECT_API_URL."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings(set_defaults={PREFECT_CLIENT_MAX_RETRIES: 1}), get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        raise UserError(
            f"PREFECT_API_URL: {hidden(url)} does not answer ({one_line(error)}); start that server, or unset it"
        )


def _send_the_rest() -> None:
    """Wait until logs and events have been sent: at exit the server is gone, and Prefect would try for minutes."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=5)


def drop_the_rest() -> None:
    """Forget logs and events that are still to be sent, where nobody answers: at exit, each is tried for seconds."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        for instance in [*worker._instances.values()]:
            with contextlib.suppress(queue.Empty):
                while True:
                    instance._queue.get_nowait()


@contextlib.contextmanager
def _started(root: Path, port: int | None, lasting: bool, meanwhile: Callable[[], object]) -> Iterator[Api]:
    chosen = _free_port() if port is None else checked(port)
    factory = "prefect.server.api.server:create_app"
    address = ["--host", "127.0.0.1", "--port", str(chosen)]
    # Runs keep connections open that they do not use; without a limit the server waits for them when it is ended.
    quietly = ["--log-level", "error", "--timeout-graceful-shutdown", "1"]
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, *address, *quietly]
    home = Path(os.environ.get("PREFECT_HOME", root / HOME))
    environment = {
        **os.environ,
        # `ephemeral` leaves out the services that only a server needs that others come back to.
        **({} if lasting else {"PREFECT__SERVER_EPHEMERAL": "1"}),
        "PREFECT_UI_ENABLED": "1" if lasting else "0",
        # Or its database would grow for ever: runs of before `PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD` go.
        **({"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs"} if lasting else {}),
        "PREFECT_UI_API_URL": f"http://127.0.0.1:{chosen}/api",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_HOME": str(home),
    }
    (root / LOG).parent.mkdir(exist_ok=True)
    with contextlib.ExitStack() as undo:
        # What refuses a run meanwhile is to leave nothing, however far the server has come.
        if home == root / HOME and not home.exists():
            undo.callback(shutil.rmtree, home, ignore_errors=True)
        with (
            (root / LOG).open("wb") as log,
            processes.child(command, env=environment, cwd=root, stdout=log, stderr=log) as process,
        ):
            meanwhile()
            undo.pop_all()
            _wait(process, f"http://127.0.0.1:{chosen}/api", root / LOG)
            yield Api(f"http://127.0.0.1:{chosen}/api", process.pid)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the Prefect server ended with code {process.returncode}; its output is in {log}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the Prefect server did not answer within {PATIENCE:.0f} s; its output is in {log}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def checked(port: int) -> int:
    """Return a port on 127.0.0.1 that is free; UserError if it is not."""
    with socket.socket() as wanted:
        wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that closed a moment ago is free
        try:
            wanted.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise UserError(f"--port: {port} cannot be used ({error}); choose another, or leave it out") from None
    return port
