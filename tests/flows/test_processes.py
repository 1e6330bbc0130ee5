"""Children die with their parent, however it ends; notes tell living processes from dead ones."""

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from flows import processes, server
from hone.errors import UserError

HERE = Path(__file__).parents[2]
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
PARENT = """
import subprocess, sys, time
from flows import processes
with processes.child(sys.argv[1:], stdout=subprocess.PIPE) as child:
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def gone(pid: int, patience: float = 15) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie":
            return True
        time.sleep(0.05)
    return False


def parent() -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", PARENT, *SLEEP], stdout=subprocess.PIPE, text=True, cwd=HERE)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent")
def test_a_child_dies_when_its_parent_is_killed() -> None:
    process, child = parent()
    process.kill()
    process.communicate()
    assert gone(child)


def test_a_child_outlives_ctrl_c_until_its_block_ends() -> None:
    with processes.child(SLEEP, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert os.getpgid(child.pid) != os.getpgid(0)
        child.stdout.close()
    assert gone(child.pid)


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(below.pid, flush=True)
time.sleep(60)
"""


def test_ending_a_process_takes_stubborn_ones_and_those_below() -> None:
    ending = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert ending.stdout is not None
    below = int(ending.stdout.readline())
    processes.end([psutil.Process(ending.pid)], patience=0.5)
    assert ending.wait(5) == -signal.SIGKILL
    assert gone(below)
    ending.communicate()


FAMILY = """
import psutil, subprocess, sys
from flows import processes
ended, spared = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2))
processes.end_children(but=spared.pid)
print(psutil.pid_exists(ended.pid), psutil.pid_exists(spared.pid))
spared.kill()
spared.wait()
"""


def test_ending_all_children_spares_the_one_that_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", FAMILY], capture_output=True, text=True, check=True, cwd=HERE)
    assert done.stdout == "False True\n"


def test_a_process_began_when_it_started_unless_it_did_something_else_before(monkeypatch: pytest.MonkeyPatch) -> None:
    born, now = psutil.Process().create_time(), time.monotonic()
    found = []
    for age in (8.0, 3600.0, -3600.0):  # the last: the clock was set back
        monkeypatch.setattr(processes.time, "time", lambda wall=born + age: wall)
        found.append(now - processes.began())
    assert found == [pytest.approx(seconds, abs=1.0) for seconds in (8.0, 0.0, 0.0)]


def test_a_note_holds_as_long_as_its_process(tmp_path: Path) -> None:
    with processes.noted(tmp_path, "server", url="http://127.0.0.1:1/api"):
        found = processes.note(tmp_path, "server")
        assert found is not None
        assert found["url"] == "http://127.0.0.1:1/api"
    assert processes.note(tmp_path, "server") is None


@pytest.mark.parametrize("content", [{"pid": os.getpid(), "started": 1.0}, {"pid": 2**22 + 1, "started": 1.0}, [], "x"])
def test_a_note_of_a_dead_process_or_of_another_with_its_number_is_none(content: object, tmp_path: Path) -> None:
    (tmp_path / processes.NOTES).mkdir(parents=True)
    (tmp_path / processes.NOTES / "server.json").write_text(json.dumps(content))
    assert processes.note(tmp_path, "server") is None


def test_a_port_that_is_taken_is_refused() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port: {port} cannot be used"):
            server.checked(port)


def test_a_server_that_this_project_runs_is_found(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        processes.noted(tmp_path, server.SERVER, url="http://127.0.0.1:1/api"),
        server.api(tmp_path) as found,
    ):
        assert found == server.Api("http://127.0.0.1:1/api", None)
        assert PREFECT_API_URL.value() == "http://127.0.0.1:1/api"


def test_what_refuses_a_run_while_the_server_starts_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    home = tmp_path / ".prefect"
    monkeypatch.setenv("PREFECT_HOME", str(home))  # as the command line sets it

    def refuse() -> None:
        deadline = time.monotonic() + 120
        while not (home / "prefect.db").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        raise UserError("data.target: there is no such column")

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(UserError),
        server.api(tmp_path, meanwhile=refuse),
    ):
        pass
    assert not home.exists()


def test_a_configured_api_comes_first(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        socketserver.TCPServer(("127.0.0.1", 0), Healthy) as answering,
        processes.noted(tmp_path, server.SERVER, url="http://127.0.0.1:1/api"),
    ):
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{answering.server_address[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}), server.api(tmp_path, lasting=True) as found:
            assert found == server.Api(url, None)
        answering.shutdown()


def test_a_configured_api_that_nobody_answers_at_is_one_line(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(
            UserError, match=r"PREFECT_API_URL: http://127\.0\.0\.1:9/api does not answer \(.+\); start that"
        ),
        server.api(tmp_path),
    ):
        pass


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers that all is well."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass
