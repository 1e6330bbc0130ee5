"""Runs whose process was killed are marked; runs of living processes are not."""

import json
import multiprocessing
import os
import uuid
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Running

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
