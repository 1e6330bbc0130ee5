"""The flow, in Prefect, on the pipeline's first two stages."""

import fcntl
import logging
import multiprocessing
import multiprocessing.synchronize
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, flow_engine
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State

from flows import cli, processes
from flows.artifacts import ToPrefect
from flows.tune import to_the_end, tune
from hone.errors import UserError
from tasks import ingest, params_file, split, versioning
from tasks import project as projects
from tasks.executors import WorkerPool
from tasks.reporting import GenerationInfo, NullReporter
from tasks.stage import Stage
from tests.flows.editing import change

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
]


def run(root: Path, **options: Any) -> State[object]:
    return tune(root=str(root), quiet=True, return_state=True, **options)


def flow_run(state: State[object]) -> FlowRunFilter:
    return FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))


def test_stale_stages_run_and_unchanged_ones_end_as_up_to_date(project: Path) -> None:
    first = run(project)
    assert (first.name, first.message) == ("Completed", "ingest run, split run")
    assert (project / "data" / "split" / "train.parquet").exists()

    again = run(project)
    assert (again.name, again.message) == ("UpToDate", "nothing to do")

    change(project, "seed: 0 ", "seed: 1 ")
    assert run(project).message == "split run"
    change(project, "seed: 1 ", "seed: 0 ")
    assert run(project).message == "split restored"
    change(project, "workers: auto", "workers: 3")
    assert run(project).name == "UpToDate"

    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"], cwd=project, capture_output=True, text=True, check=True
    )
    assert "up to date" in status.stdout
    assert processes.notes(project) == []


def test_prefect_shows_each_stage_with_why_it_ran(project: Path) -> None:
    run(project)
    state = run(project)
    chosen = flow_run(state)
    with get_client(sync_client=True) as client:
        for _ in range(100):  # Prefect records task runs a moment later
            shown = {task.name: task.state_name for task in client.read_task_runs(flow_run_filter=chosen)}
            if shown == {"ingest": "UpToDate", "split": "UpToDate"}:
                break
            time.sleep(0.2)
    assert shown == {"ingest": "UpToDate", "split": "UpToDate"}


def test_prefect_shows_what_the_run_says_and_names_it_by_data_and_commit(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into_ingest = ingest.run

    def warn(stage: Stage) -> None:
        into_ingest(stage)
        stage.reporter.warning("a thing to look at, token=hunter2")

    monkeypatch.setattr(ingest, "run", warn)
    state = run(project)
    chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        for _ in range(100):  # Prefect sends logs a moment later
            lines = {log.message: log.level for log in client.read_logs(chosen)}
            if any(line.startswith("split: done in") for line in lines):
                break
            time.sleep(0.2)
        assert client.read_flow_run(state.state_details.flow_run_id).name == "sklearn:wine uncommitted"
    assert lines["ingest: started"] == logging.INFO
    assert lines["sklearn:wine: 178 rows, 13 columns and the target 'target'"] == logging.INFO
    assert [level for line, level in lines.items() if line.startswith("a thing to look at")] == [logging.WARNING]
    assert "hunter2" not in str(lines)
    assert any(line.startswith("split: done in") for line in lines)


def test_overrides_hold_for_one_run_and_the_next_one_brings_the_former_results_back(project: Path) -> None:
    run(project)
    before = (project / "params.yaml").read_bytes()
    validation = (project / "data" / "split" / "validation.parquet").read_bytes()

    state = run(project, overrides={"split.validation": 0.3, "data.drop": ["ash"]})
    assert state.message == "split run"
    assert (project / "data" / "split" / "validation.parquet").read_bytes() != validation
    assert (project / "params.yaml").read_bytes() == before

    assert run(project).message == "split restored"
    assert (project / "data" / "split" / "validation.parquet").read_bytes() == validation


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"split.tset": 0.3}, r"split.tset: unknown key; did you mean `test`"),
        ({"seed.x": 1}, r"seed.x: seed is a value, not a section"),
        ({"data..x": 1}, r"'data..x' is no key of params.yaml"),
    ],
)
def test_overrides_that_params_refuse_fail_the_run_and_leave_params_alone(
    overrides: dict[str, object], said: str, project: Path
) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=said):
        run(project, overrides=overrides).result()
    assert (project / "params.yaml").read_bytes() == before


def test_overrides_of_a_file_that_is_no_yaml_are_refused_in_the_files_own_words(project: Path) -> None:
    (project / "params.yaml").write_text("a: [1")
    with pytest.raises(UserError, match=r"^params.yaml: "):
        run(project, overrides={"seed": 1}).result()


def test_params_of_a_run_with_overrides_that_was_killed_are_put_back_by_the_next(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    context = multiprocessing.get_context("fork")
    killed = context.Process(target=_override_and_die, args=(project,))
    killed.start()
    killed.join()
    assert b"seed: 7" in (project / "params.yaml").read_bytes()
    run(project)
    assert (project / "params.yaml").read_bytes() == before


def _override_and_die(root: Path) -> None:
    with params_file.overridden(root, {"seed": 7}, print):
        os._exit(0)


def test_params_edited_during_a_run_with_overrides_stay_as_edited(project: Path) -> None:
    said: list[str] = []
    with params_file.overridden(project, {"seed": 7}, said.append):
        change(project, "seed: 7 ", "seed: 8 ")
    assert "seed: 8 " in (project / "params.yaml").read_text()
    assert ["params.yaml was edited" in line for line in said] == [True]
    assert ".work/overrides/before.yaml" in said[0]
    assert "seed: 7 " not in (project / ".work" / "overrides" / "before.yaml").read_text()
    params_file.restore(project, said.append)  # of the next command
    assert len(said) == 1
    assert (project / ".work" / "overrides" / "before.yaml").is_file()


def test_params_with_windows_line_ends_come_back_byte_for_byte(project: Path) -> None:
    before = (project / "params.yaml").read_bytes().replace(b"\n", b"\r\n")
    (project / "params.yaml").write_bytes(before)
    with params_file.overridden(project, {"seed": 7}, print):
        pass
    assert (project / "params.yaml").read_bytes() == before


def test_every_command_puts_back_the_params_of_a_killed_run_unless_a_run_is_at_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (project / "params.yaml").read_bytes()
    context = multiprocessing.get_context("fork")
    killed = context.Process(target=_override_and_die, args=(project,))
    killed.start()
    killed.join()
    during = (project / "params.yaml").read_bytes()
    monkeypatch.chdir(project)
    with (project / ".work" / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        cli._enter()
    assert (project / "params.yaml").read_bytes() == during != before
    cli._enter()
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("task: auto ", "tusk: auto ", r"params.yaml: data.tusk: unknown key; did you mean `task`"),
        ("target:      ", "target: tarhet ", r"data.target: .*tarhet.*"),
        ("sklearn:wine", "sklearn:vine", r"did you mean sklearn:wine"),
    ],
)
def test_bad_input_fails_the_run_in_a_line_and_leaves_nothing(
    before: str, after: str, said: str, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change(project, before, after)
    files = {path for path in project.rglob("*") if ".git" not in path.parts and ".dvc" not in path.parts}
    state = run(project)
    assert state.is_failed()
    with pytest.raises(UserError, match=said):
        state.result()
    assert "\n" not in str(state.message)
    assert "Traceback" not in capfd.readouterr().err
    left = {path for path in project.rglob("*") if ".git" not in path.parts and ".dvc" not in path.parts} - files
    assert {path.relative_to(project).parts[0] for path in left} <= {".work"}
    assert not (project / "dvc.lock").exists()


def test_a_stage_that_refuses_ends_the_run_with_its_words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(stage: Stage) -> None:
        raise UserError("budget.time_limit: 2m is too short; allow more time")

    monkeypatch.setattr(ingest, "run", refuse)
    state = run(project)
    assert state.is_failed()
    with pytest.raises(UserError, match="2m is too short"):
        state.result()
    assert not (project / "dvc.lock").exists()
    assert not (project / "data" / "split").exists()
    monkeypatch.undo()
    assert run(project).message == "ingest run, split run"


@pytest.mark.parametrize("error", [ZeroDivisionError("token=hunter2"), PermissionError(13, "Permission denied", "x")])
def test_what_a_stage_raises_is_handed_to_the_command_line_and_prefect_shows_no_traceback(
    error: Exception, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(stage: Stage) -> None:
        raise error

    monkeypatch.setattr(ingest, "run", fail)
    state = to_the_end(project, quiet=True)
    assert state.is_failed()
    assert str(state.message).startswith(type(error).__name__)
    with pytest.raises(type(error)) as raised:
        state.result()
    assert raised.value is error
    assert raised.traceback[-1].name == "fail"
    assert "Traceback" not in caplog.text
    assert "hunter2" not in str(state.message)


@pytest.mark.parametrize("error", [None, UserError("too short"), KeyboardInterrupt()])
def test_a_run_comes_to_the_same_where_prefects_api_is_lost_meanwhile(
    error: BaseException | None, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    into_ingest = ingest.run

    def lose(stage: Stage) -> None:
        into_ingest(stage)
        monkeypatch.setattr(flow_engine, "propose_state_sync", refuse)
        if error is not None:
            raise error

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ingest, "run", lose)
    if error is not None:
        with pytest.raises(type(error)):
            to_the_end(project).result()
    else:
        assert to_the_end(project).message == "ingest run, split run"
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "Prefect" in line]
    assert warning.endswith("its API does not answer (nobody there), and was not told of the end")


def is_refused(project: Path, why: str) -> None:
    """Check that a run ends with these words, before it splits."""
    with pytest.raises(UserError, match=f"{why}; run the same command again"):
        run(project).result()
    assert not (project / "data" / "split").exists()


def test_a_stage_is_not_run_on_what_came_after_the_stages_before_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = versioning.stale

    def edit_before_split(root: Path, name: str) -> str | None:
        if name == "split":
            change(project, "sklearn:wine", "sklearn:digits")
        return stale(root, name)

    monkeypatch.setattr(versioning, "stale", edit_before_split)
    is_refused(project, r"data.source: changed while this run went on, .*")
    monkeypatch.undo()
    assert run(project).message == "ingest run, split run"


def test_a_stage_is_not_run_by_code_that_was_edited_after_it_was_imported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into_ingest = ingest.run

    def edit(stage: Stage) -> None:
        into_ingest(stage)
        with (project / "hone" / "seeds.py").open("a") as lines:
            lines.write("# edited")

    monkeypatch.setattr(ingest, "run", edit)
    is_refused(project, r"hone/seeds.py: changed since this command began")
    monkeypatch.undo()
    assert run(project).message == "split run"


def test_workers_start_while_data_are_read_and_a_limit_counts_from_the_commands_start(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[WorkerPool] = []
    waited: list[float | None] = []
    monkeypatch.setattr(WorkerPool, "warm_up", lambda pool: warmed.append(pool))
    monkeypatch.setattr(processes, "began", lambda: time.monotonic() - 1000.0)
    into_split = split.run

    def spy(stage: Stage) -> None:
        waited.append(None if stage.began is None else time.monotonic() - stage.began)
        into_split(stage)

    monkeypatch.setattr(split, "run", spy)
    assert run(project).message == "ingest run, split run"
    assert len(warmed) == 2
    assert waited == [pytest.approx(1000.0, abs=60.0)]


def _hold(root: Path, ready: multiprocessing.synchronize.Event, release: multiprocessing.synchronize.Event) -> None:
    with projects.lock(root, "dvc repro"):
        ready.set()
        release.wait(30)


def test_a_locked_project_fails_the_run_with_who_holds_it(project: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(project, ready, release))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(UserError, match=rf"locked by `dvc repro` \(process {holder.pid}\)"):
            run(project).result()
    finally:
        release.set()
        holder.join()


@flow
def searching() -> list[tuple[float, str]]:
    """Reports two generations and the end of a phase; returns what its artifact showed after each."""
    reporter, shown = ToPrefect(NullReporter()), []
    for index in range(2):
        reporter.generation(
            GenerationInfo(
                stage="search_toy", index=index, n_trials=8, best=0.5, metric="accuracy", spent=20.0 * index, budget=80
            )
        )
        shown.append(_artifact())
    reporter.stage_finished("search_toy", 1.0)
    return [*shown, _artifact()]


def _artifact() -> tuple[float, str]:
    with get_client(sync_client=True) as client:
        (found,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["search-toy-progress"]))
        )
    return found.data, found.description


def test_a_phase_has_a_progress_artifact_that_moves_and_ends_full() -> None:
    assert searching() == [
        (0.0, "generation 1, best accuracy 0.5000, 0 of 80 epochs"),
        (25.0, "generation 2, best accuracy 0.5000, 20 of 80 epochs"),
        (100.0, "generation 2, best accuracy 0.5000, 20 of 80 epochs"),
    ]


def test_where_dvc_is_to_stage_what_it_writes_the_lock_file_is_staged(project: Path) -> None:
    with (project / ".dvc" / "config").open("a") as file:
        file.write("    autostage = true\n")
    run(project)
    listed = subprocess.run(["git", "diff", "--cached", "--name-only"], cwd=project, capture_output=True, text=True)
    assert "dvc.lock" in listed.stdout.split()
