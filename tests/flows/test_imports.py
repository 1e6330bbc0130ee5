"""What commands import: those that only look at files wait for nothing heavy, and the others speak first."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows import cli
from flows.cli import FIRST
from tests.flows.editing import HERE, change

HEAVY = ("torch", "prefect", "mlflow", "dvc", "optuna", "sklearn", "scipy.stats", "plotly", "PIL.Image")
TABLE = "a,b,y\n" + "".join(f"{i % 7},{i % 5},{'no' if i % 3 else 'yes'}\n" for i in range(60))


def imported(folder: Path, *arguments: str) -> tuple[int, str, set[str]]:
    """Return a command's exit code, what it wrote, and which of HEAVY it imported."""
    program = (
        "import sys\n"
        "from flows import cli\n"
        "code = cli.main(sys.argv[2:])\n"
        "print(code, *(name for name in sys.argv[1].split(',') if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, ",".join(HEAVY), *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(HERE), "HOME": str(folder)},
    )
    *said, last = done.stdout.splitlines()
    code, *names = last.split()
    return int(code), "\n".join(said) + done.stderr, set(names)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "hone tune"),
        (["--version"], 0, "hone 0."),
        (["check", "--help"], 0, "Usage: hone check"),
        (["check"], 0, "binary of 'y', by roc_auc; positive class 'yes' (data.positive)"),
        (["add", "other.foo"], 2, "of a kind that is not read"),
        (["add", "missing.csv"], 2, "there is no such file"),
        (["predict", "other.foo"], 2, "of a kind that is not read"),
        (["predict", "missing.csv"], 2, "there is no such file"),
    ],
)
def test_what_only_looks_at_files_imports_nothing_heavy(
    arguments: list[str], code: int, said: str, project: Path
) -> None:
    (project / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "table.csv").write_text(TABLE)
    (project / "other.foo").write_text(TABLE)
    change(project, "sklearn:wine", "data/raw/table.csv")
    change(project, "target:      ", "target: y ")
    found, shown, names = imported(project, *arguments)
    assert (found, names) == (code, set())
    assert said in shown


@pytest.mark.parametrize("command", ["plan", "tune"])
def test_bad_params_are_refused_before_anything_heavy_is_imported(command: str, project: Path) -> None:
    change(project, "task: auto ", "tusk: auto ")
    code, shown, names = imported(project, command)
    assert (code, names) == (2, set())
    assert "params.yaml: data.tusk: unknown key" in shown


@pytest.mark.parametrize("name", FIRST)
def test_what_takes_seconds_to_import_says_first_what_it_does(
    name: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first import of the command's own module fails, and the line is there by then."""
    module = {"tune": "fresh", "plan": "check"}.get(name, name.replace("-", "_"))
    monkeypatch.setitem(sys.modules, f"flows.{module}", None)
    (project / "table.csv").write_text(TABLE)
    given = {"predict": ["table.csv"], "reproduce": ["HEAD"], "warm-start": ["x"], "start-from": ["x"]}
    assert cli.main([name, *given.get(name, [])]) in (1, 2)
    shown = capsys.readouterr()
    assert shown.out == f"{FIRST[name]} …\n"
    assert f"flows.{module}" in shown.err
