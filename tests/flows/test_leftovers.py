"""Runs whose process was killed are marked; runs of living processes are not."""

import json
import multiprocessing
import os
import uuid
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Running

from flows import leftovers, processes

pytestmark = pytest.mark.usefixtures("prefect_api")


@flow
def nothing() -> None:
    """Does nothing."""


def _note_and_die(root: Path, name: str) -> None:
    with processes.noted(root, name):
        os._exit(0)  # as a kill: nothing is tidied


def test_a_killed_run_is_marked_crashed_and_a_living_one_is_not(tmp_path: Path) -> None:
    with get_client(sync_client=True) as client:
        dead, alive = (client.create_flow_run(nothing, state=Running()).id for _ in range(2))
    killed = multiprocessing.get_context("fork").Process(target=_note_and_die, args=(tmp_path, str(dead)))
    killed.start()
    killed.join()
    assert processes.notes(tmp_path) == [str(dead)]
    with processes.noted(tmp_path, str(alive)):
        assert leftovers.mark_crashed(tmp_path) == 1
        assert leftovers.mark_crashed(tmp_path) == 0
        assert processes.notes(tmp_path) == [str(alive)]
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(dead).state_name == "Crashed"
        assert client.read_flow_run(alive).state_name == "Running"


def test_notes_about_runs_that_prefect_does_not_know_are_dropped(tmp_path: Path) -> None:
    (tmp_path / processes.NOTES).mkdir(parents=True)
    for content in ({"pid": 2**22 + 1, "started": 0.0}, {}):
        (tmp_path / processes.NOTES / f"{uuid.uuid4()}.json").write_text(json.dumps(content))
    assert leftovers.mark_crashed(tmp_path) == 0
    assert processes.notes(tmp_path) == []


def test_only_scheduled_runs_that_met_another_at_work_count_as_skipped() -> None:
    def cancelled(message: str, auto_scheduled: bool) -> FlowRun:
        return FlowRun(flow_id=uuid.uuid4(), auto_scheduled=auto_scheduled, state=Cancelled(message=message))

    assert leftovers.was_skipped(cancelled(leftovers.SKIPPED, True))
    assert not leftovers.was_skipped(cancelled(leftovers.SKIPPED, False))
    assert not leftovers.was_skipped(cancelled("missed: nobody was serving", True))


def test_skipped_runs_leave_no_row_and_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(nothing), name="busy")
        gone, stays, waits = (client.create_flow_run_from_deployment(deployment).id for _ in range(3))
        for run in (gone, stays):
            client.set_flow_run_state(run, Cancelled(message=leftovers.SKIPPED), force=True)
        monkeypatch.setattr(leftovers, "was_skipped", lambda run: run.id != stays)  # a client cannot make one of both
        assert leftovers.forget_skipped(deployment) == 1
        assert {run.id for run in client.read_flow_runs()} & {gone, stays, waits} == {stays, waits}
