"""Schedules are checked before anything is served."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import serve
from hone.errors import UserError
from tasks.params import Schedule
from tests.flows.editing import change


@pytest.mark.parametrize("cron", ["0 2 * * *", "*/15 * * * *", "0 8-18/2 * * mon-fri", "30 4 1 1,7 *"])
def test_schedules_that_prefect_takes_are_taken(cron: str) -> None:
    serve.check_schedule(Schedule(cron=cron, timezone="Europe/Paris"))


@pytest.mark.parametrize(
    "cron", ["", "often", "61 * * * *", "* * * *", "* * * * * *", "@daily", "0 0 31 2 *", "H 2 * * *"]
)
def test_no_schedule_is_named_with_its_remedy(cron: str) -> None:
    with pytest.raises(
        UserError, match=r"^params.yaml: schedule.cron: .* is no schedule .*; use five fields"
    ) as caught:
        serve.check_schedule(Schedule(cron=cron))
    assert repr(cron) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../UTC"])
def test_no_time_zone_is_named_with_its_remedy(timezone: str) -> None:
    with pytest.raises(UserError, match=r"^params.yaml: schedule.timezone: .* is no time zone; use e.g. UTC"):
        serve.check_schedule(Schedule(timezone=timezone))


def test_a_bad_schedule_is_refused_before_a_server_starts(project: Path) -> None:
    change(project, "cron: 0 2 * * *", 'cron: "61 * * * *"')
    with pytest.raises(UserError, match=r"schedule.cron"):
        serve.serve(project)
    assert not (project / ".work").exists()


def test_a_project_is_served_once(project: Path) -> None:
    program = f"from pathlib import Path; from flows import serve; serve.serve(Path({str(project)!r}))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with serve._alone(project):
        second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert second.returncode == 1
    assert "served already, by process" in second.stderr
