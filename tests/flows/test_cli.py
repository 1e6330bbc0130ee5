"""The `hone` command: what it says, how it ends, and what it does not import."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows import cli, processes, verify
from tasks.params import load_params
from tasks.pipeline import pipeline_fingerprint
from tasks.reporting import NullReporter
from tasks.tracking import views
from tests.flows.editing import change

HERE = Path(__file__).parents[2]
COMMANDS = ("tune", "serve", "check", "plan", "add", "warm-start", "reproduce", "verify", "champion", "ui")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "A first session" in capsys.readouterr().out


def test_help_waits_for_nothing_heavy() -> None:
    program = (
        "import sys; from flows import cli; cli.main(['--help']); "
        "print([m for m in ('torch', 'prefect', 'dvc', 'mlflow', 'pandas', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=HERE)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_a_module_too_and_its_help_teaches(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"flows.{name.replace('-', '_')}", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE,
    )
    assert done.stdout.startswith(f"Usage: hone {name}")
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tun"], "error: No such command 'tun'. Did you mean 'tune'?; `hone --help` explains\n"),
        (["tune", "--fast"], "error: No such option: --fast; `hone tune --help` explains\n"),
        (["add"], "error: Missing argument 'FILE'; `hone add --help` explains\n"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("name", ["tune", "serve", "check", "plan", "verify", "champion", "ui"])
def test_outside_a_project_every_command_says_so(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([name]) == 2
    assert "params.yaml: not found in" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_shows_the_problem_and_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(project)
    monkeypatch.chdir(project / "hone")  # any folder of the project will do
    assert cli.main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "sklearn:wine: multiclass of 'target', by accuracy" in shown
    assert "nothing obvious found beyond what is said above. Tested: missing values that tell the target; " in shown
    assert "fine" not in shown
    assert everything(project) == before


def test_a_check_leaves_no_file_and_no_folder_behind(project: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment |= {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    before = everything(project)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "check"], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert everything(project) == before


@pytest.mark.parametrize("name", ["check", "tune", "plan"])
def test_bad_input_is_one_line_and_code_2_before_any_work(
    name: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project, "target:      ", "target: tarhet ")
    assert cli.main([name]) == 2
    shown = capsys.readouterr()
    assert "tarhet" in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == (f"{cli.FIRST[name]} …\n" if name in cli.FIRST else "")
    assert not (project / ".prefect").exists()
    assert not (project / "dvc.lock").exists()


def everything(root: Path) -> dict[str, bytes | None]:
    """Return the content of every file of a project, and None for every folder; Python's own caches are left out."""
    paths = sorted(path for path in root.rglob("*") if "__pycache__" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in paths}


def test_a_full_disk_is_no_fault_of_hones(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object, **more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/raw/table.csv")

    monkeypatch.setattr(verify, "verify", full)
    assert cli.main(["verify"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: data/raw/table.csv: No space left on device")
    assert "fault of Hone's" not in said


def test_a_port_that_is_taken_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        change(project, "uri: none ", "uri: null ")
        assert cli.main(["ui", "--port", str(port)]) == 2
    shown = capsys.readouterr()
    assert f"error: --port: {port} cannot be used" in shown.err
    assert shown.out == f"{cli.FIRST['ui']} …\n"


def test_pages_on_no_runs_or_no_database_are_refused_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(processes, "child", lambda *_, **__: pytest.fail("a server starts"))
    monkeypatch.setattr("flows.ui.checked", lambda port: port)
    assert cli.main(["ui"]) == 2
    assert capsys.readouterr().err.startswith("error: tracking.uri: none, so there are no runs to show; leave it empty")
    change(project, "uri: none ", "uri: null ")
    (project / "mlflow.db").mkdir()
    assert cli.main(["ui"]) == 2
    said = capsys.readouterr().err
    (project / "mlflow.db").rmdir()
    (project / "mlflow.db").write_text("no database, but long enough to have been one\n" * 50)
    assert cli.main(["ui"]) == 2
    said += capsys.readouterr().err
    assert said.count("\n") == 2
    assert said.count("error: tracking.uri: 'sqlite:///") == 2
    assert "(unable to open database file)" in said
    assert "(file is not a database)" in said


def test_pages_open_the_run_of_what_is_in_the_project_now(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    change(project, "uri: none ", "uri: https://host ")

    def key() -> str:
        params = load_params(project)
        return pipeline_fingerprint(project, params.model_dump(mode="json"), params.data.source)

    views.note(project, "1", "run-of-seed-0", key())
    change(project, "seed: 0 ", "seed: 1 ")
    views.note(project, "1", "run-of-seed-1", key())
    change(project, "seed: 1 ", "seed: 0 ")  # what a run then restores from the cache is logged nowhere
    assert cli.main(["ui"]) == 0
    assert "runs/run-of-seed-0?" in capsys.readouterr().out
    change(project, "seed: 0 ", "seed: 2 ")
    assert cli.main(["ui"]) == 0
    shown = capsys.readouterr().out
    assert "run-of" not in shown
    assert "pipelines " in shown


def test_a_live_line_lasts_until_the_flow_opens_its_own(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Live(NullReporter):
        def message(self, text: str) -> None:
            seen.append(text)

    @contextlib.contextmanager
    def opened(**_: object) -> Iterator[Live]:
        yield Live()
        seen.append("closed")

    @contextlib.contextmanager
    def api(*_: object, **__: object) -> Iterator[None]:
        seen.append("server")
        yield

    def to_the_end(*_: object, **__: object) -> SimpleNamespace:
        seen.append("flow")
        return SimpleNamespace(result=lambda: None)

    monkeypatch.setattr(cli, "open_reporter", opened)
    monkeypatch.setattr("flows.fresh.up_to_date", lambda *_: False)
    monkeypatch.setattr("flows.server.api", api)
    monkeypatch.setitem(sys.modules, "flows.tune", SimpleNamespace(to_the_end=to_the_end))
    assert cli.main(["tune"]) == 0
    assert seen == ["looking for what is stale …", "closed", "starting Prefect …", "server", "closed", "flow"]
