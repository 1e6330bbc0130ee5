"""Tables with the traps of well-known data sets go through `add`, `check` and `tune`: each names every trap."""

from pathlib import Path

import numpy as np
import pytest

from flows import cli
from flows.tune import to_the_end
from tasks import files, plain_yaml
from tasks.params_file import set_params
from tests.clean_tables import strong_linear
from tests.trap_tables import TRAPS

pytestmark = pytest.mark.usefixtures("prefect_api")
WHOLE = ("bike",)
"""Goes through all of `tune` in tests/e2e/test_traps_whole.py."""


def written(name: str, folder: Path) -> Path:
    path = folder / f"{name}.csv"
    TRAPS[name].make().to_csv(path, index=False, na_rep="NA" if name == "ames" else "")
    return path


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_is_named_by_add_check_and_tune(
    name: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trap = TRAPS[name]
    said = []
    for command in (["add", str(written(name, tmp_path)), "--target", trap.target], ["check"]):
        assert cli.main(command) == 0
        said.append(capsys.readouterr().out)
    if name not in WHOLE:
        assert to_the_end(project).message == "ingest run, split run"
        said.append(capsys.readouterr().out)
        audit = files.read_json(project / "data" / "split" / "audit.json")
        found = {(one["kind"], one["severity"], tuple(one["columns"])) for one in audit["findings"]}
        assert set(trap.findings) <= found
    for text in said:
        shown = " ".join(text.split())
        assert [remedy for remedy in trap.remedies if remedy not in shown] == []
        assert [column for _, _, columns in trap.findings for column in columns if repr(column) not in shown] == []
    for text in said[:2]:
        assert "nothing obvious" not in text
        assert "Tested: missing values that tell the target" in text


@pytest.mark.parametrize(
    ("name", "remedies"),
    [
        ("titanic", {"data": "drop: [boat, body]"}),
        ("bike", {"data": "drop: [casual, registered, instant]", "split": "{method: time, time: dteday}"}),
        ("parkinsons", {"data": "drop: [motor_UPDRS]", "split": "{method: grouped, group: 'subject#'}"}),
    ],
)
def test_what_the_messages_say_to_set_ends_the_warnings(
    name: str, remedies: dict[str, str], project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["add", str(written(name, tmp_path)), "--target", TRAPS[name].target]) == 0
    assert "look into them before `hone tune`" in capsys.readouterr().out
    for section, lines in remedies.items():
        values = plain_yaml.parse(lines)
        assert isinstance(values, dict)
        set_params(project / "params.yaml", values, section)
    assert cli.main(["check"]) == 0
    shown = capsys.readouterr().out
    assert "nothing obvious found" in shown
    assert "warning:" not in shown


def test_a_clean_table_is_not_called_fine(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame, _ = strong_linear(np.random.default_rng(0))
    frame.to_csv(tmp_path / "clean.csv", index=False)
    assert cli.main(["add", str(tmp_path / "clean.csv"), "--target", "target"]) == 0
    shown = capsys.readouterr().out
    assert "\nnothing obvious found. Tested: missing values that tell the target; " in shown
    assert "rows in order of time" in shown
    assert "fine" not in shown
