"""An MLflow server and a Prefect server, each started once, and a proxy that goes away, is slow, or fails."""

import contextlib
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import partial
from pathlib import Path

from flows import processes


class Mode(IntEnum):
    """What the proxy does. REFUSES: nobody listens. CUTS: a request is not passed on. DEAF: its answer is not."""

    WORKS, REFUSES, CUTS, DEAF, SLOW, FAILS = range(6)


class Proxy:
    """A TCP proxy in a process of its own, in front of a port."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._shared = mmap.mmap(-1, 8)  # forks share it
        self.set(Mode.WORKS)
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            _Relay(self.port, target, self._shared).serve(parent)
            os._exit(0)

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        """Have the proxy do something from now on. delay: seconds for each piece, where it is slow."""
        self._shared[:8] = struct.pack("If", mode, delay)

    def close(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class _Relay:
    def __init__(self, port: int, target: int, shared: mmap.mmap) -> None:
        self._port, self._target, self._shared = port, target, shared

    @property
    def _now(self) -> tuple[Mode, float]:
        mode, delay = struct.unpack("If", self._shared[:8])
        return Mode(mode), delay

    def serve(self, parent: int) -> None:
        while os.getppid() == parent:
            if self._now[0] is Mode.REFUSES:
                time.sleep(0.02)
                continue
            with socket.create_server(("127.0.0.1", self._port)) as listener:
                listener.settimeout(0.02)
                while self._now[0] is not Mode.REFUSES and os.getppid() == parent:
                    with contextlib.suppress(TimeoutError):
                        client, _ = listener.accept()
                        threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [], 0.05)
                if self._now[0] is Mode.REFUSES and not ready:
                    break
                if client in ready and not self._passed(client, server):
                    break
                if server in ready and not self._answered(server, client):
                    break

    def _passed(self, client: socket.socket, server: socket.socket) -> bool:
        """Pass on what the client sends; return whether to go on."""
        content = client.recv(1 << 16)
        mode, delay = self._now
        if not content or mode in (Mode.REFUSES, Mode.CUTS):
            _reset(client)
            return False
        if mode is Mode.FAILS:
            client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if mode is Mode.SLOW:
            time.sleep(delay)
        server.sendall(content)
        return True

    def _answered(self, server: socket.socket, client: socket.socket) -> bool:
        """Pass on what the server sends; return whether to go on."""
        content = server.recv(1 << 16)
        mode, delay = self._now
        if not content or mode in (Mode.REFUSES, Mode.DEAF):
            _reset(client)
            return False
        if mode is Mode.SLOW:
            time.sleep(delay)
        client.sendall(content)
        return True


def _reset(client: socket.socket) -> None:
    """Have the connection end without a farewell."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def mlflow(place: Path, port: int) -> Iterator[Callable[[], None]]:
    """Run an MLflow server as long as the body lasts; yield what waits until it answers."""
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--artifacts-destination", f"{place}/artifacts"]
    # Without the jobs, which are eight processes more.
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (
        (place / "log").open("wb") as log,
        processes.child(command, env=environment, cwd=place, stdout=log, stderr=log) as process,
    ):
        yield partial(_wait, process, f"http://127.0.0.1:{port}/health", place / "log")


@contextlib.contextmanager
def prefect(place: Path, port: int) -> Iterator[Callable[[], None]]:
    """Run a Prefect server as long as the body lasts; yield what waits until it answers."""
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    environment = {
        **os.environ,
        "PREFECT_HOME": str(place),
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "DO_NOT_TRACK": "1",
    }
    with (
        (place / "log").open("wb") as log,
        processes.child(command, env=environment, cwd=place, stdout=log, stderr=log) as process,
    ):
        yield partial(_wait, process, f"http://127.0.0.1:{port}/api/health", place / "log")


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(1800):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; its output is in {log}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no answer from {url}; its output is in {log}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
