"""Flow runs whose process was killed: to Prefect they run for ever, and hold the one slot of a served flow."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed

from flows import processes

UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
MISSED = timedelta(seconds=30)
"""How late a scheduled run must be to have been missed, when a server starts again."""
SKIPPED = "Deployment concurrency limit reached."
"""What Prefect's server says of a run that it cancels by `CANCEL_NEW`."""


def mark_crashed(root: Path) -> int:
    """Mark the runs whose process left a note behind and is gone; return how many there were."""
    marked = 0
    with get_client(sync_client=True) as client:
        for name in processes.notes(root):
            identifier = _run_id(name)
            if identifier is None or processes.note(root, name) is not None:
                continue
            with contextlib.suppress(ObjectNotFound):  # another API's run, or one of a database that was deleted
                marked += _crash(client, client.read_flow_run(identifier))
            processes.forget(root, name)
    return marked


def clear(root: Path, deployment: UUID) -> int:
    """Mark a deployment's runs that no living process works on, and cancel those missed while nobody served.

    For a server that only this project uses. Return how many had crashed.
    """
    marked = 0
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(deployment_filter=chosen, flow_run_filter=_in_states(UNFINISHED)):
            if processes.note(root, str(run.id)) is None:
                marked += _crash(client, run)
        latest = datetime.now(UTC) - MISSED
        for run in client.read_flow_runs(deployment_filter=chosen, flow_run_filter=_in_states([StateType.SCHEDULED])):
            if run.next_scheduled_start_time is not None and run.next_scheduled_start_time < latest:
                client.set_flow_run_state(run.id, Cancelled(message="missed: nobody was serving"), force=True)
    return marked


def forget_skipped(deployment: UUID) -> int:
    """Delete scheduled runs of a deployment that Prefect cancelled because another one was at work; return how many.

    A run that a person started keeps its row, which says why it was cancelled.
    """
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    with get_client(sync_client=True) as client:
        cancelled = client.read_flow_runs(deployment_filter=chosen, flow_run_filter=_in_states([StateType.CANCELLED]))
        skipped = list(filter(was_skipped, cancelled))
        for run in skipped:
            client.delete_flow_run(run.id)
    return len(skipped)


def was_skipped(run: FlowRun) -> bool:
    """Return whether a run came from the schedule and was cancelled because another one was at work."""
    return run.auto_scheduled and run.state is not None and run.state.message == SKIPPED


def _crash(client: SyncPrefectClient, run: FlowRun) -> int:
    if run.state_type not in UNFINISHED:
        return 0
    state: State[Any] = Crashed(message="its process was killed; the next run goes on where it stopped")
    client.set_flow_run_state(run.id, state, force=True)
    running = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED)))
    for task in client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])), task_run_filter=running
    ):
        client.set_task_run_state(task.id, state, force=True)
    return 1


def _in_states(states: list[StateType]) -> FlowRunFilter:
    return FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=states)))


def _run_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
