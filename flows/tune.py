"""The whole chain as a Prefect flow: each stage that is stale is run, and committed to DVC at once."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Completed, Failed

from flows import artifacts, check, fresh, leftovers, processes, server
from hone.errors import UserError
from tasks import params_file, pipeline, project, provenance, run, run_notes, summary, versioning
from tasks.executors import WorkerPool
from tasks.params import load_params
from tasks.reporting import Reporter
from tasks.terminal import open_reporter, report
from tasks.tracking import Tracker
from tasks.tracking.uri import one_line

T = TypeVar("T")
UP_TO_DATE = "UpToDate"
UNTRAINED = ("ingest", "split")
"""Stages during which the workers start that the next ones need."""
RETRIES = 1
"""How often what Prefect's API does not answer is asked again, where nothing else is set: each time takes longer, and
a run's end alone asks it several things."""
_ended: ContextVar[list[State[Any] | BaseException] | None] = ContextVar("_ended", default=None)


def run_name() -> str:
    """Return the name of a flow run: its data and its commit, with a + where files differ from that commit."""
    try:
        root = project.find_root(Path(folder) if (folder := flow_run.get_parameters().get("root")) else None)
        return f"{Path(load_params(root).data.source).name} {provenance.revision(root)}"
    except UserError:  # the run itself will say it
        return "tune"


@flow(
    name="tune",
    description="From raw data to a retrained model with an honest held-out score.",
    flow_run_name=run_name,
)
def tune(root: str | None = None, quiet: bool = False, overrides: dict[str, Any] | None = None) -> State[Any]:
    """Bring every stage of the project up to date; return the state that says what was done.

    The state is named UpToDate if nothing was stale. What is raised makes a failed state that carries it.

    Args:
        root: The project's folder. Left out: the one around the working directory.
        quiet: Report nothing.
        overrides: Values of params.yaml for this run only, by dotted key, e.g. {"budget.time_limit": "10m"}.
            params.yaml is put back at the end; the next run without them brings the former results back.
    """
    processes.die_with_server()
    began = processes.began()
    try:
        state = _tune(root, quiet, began, overrides or {})
    except Exception as error:
        if not isinstance(error, UserError) and project.SERVED_BY in os.environ:  # no command line will say it
            report(error)
        state = _failed(error)
    except BaseException as error:
        _note(error)
        raise
    _note(state)
    return state


def to_the_end(root: Path, *, quiet: bool = False) -> State[Any]:
    """Run the flow in this process; return what it came to, whether Prefect's API stays there to be told or not.

    Raises what is raised before the flow begins, and Ctrl-C.
    """
    ended: list[State[Any] | BaseException] = []
    _ended.set(ended)
    logging.raiseExceptions = False  # or Prefect writes between our lines that a line did not reach its API
    with temporary_settings(set_defaults={PREFECT_CLIENT_MAX_RETRIES: RETRIES}):
        try:
            leftovers.mark_crashed(root)
            state = tune(root=str(root), quiet=quiet, return_state=True)
            ended = ended or [state]
        except Exception as error:
            if not ended:
                raise
            server.drop_the_rest()
            with open_reporter(quiet=quiet) as reporter:
                reporter.warning(f"Prefect: its API does not answer ({one_line(error)}), and was not told of the end")
    (came_to,) = ended
    if isinstance(came_to, BaseException):
        raise came_to
    return came_to


def _note(ended: State[Any] | BaseException) -> None:
    """Keep what the flow came to, for `to_the_end`: Prefect's API may not take it."""
    if (kept := _ended.get()) is not None:
        kept.append(ended)


def _tune(root: str | None, quiet: bool, began: float, overrides: Mapping[str, object]) -> State[Any]:
    folder = project.find_root(Path(root) if root is not None else None)
    code = {name: pipeline.code(folder, spec) for name, spec in pipeline.specs(folder).items()}
    with (
        project.lock(folder, "hone tune"),
        processes.noted(folder, str(flow_run.get_id())),
        open_reporter(quiet=quiet) as reporter,
    ):
        shown = artifacts.ToPrefect(reporter)
        params_file.restore(folder, shown.warning)
        if overrides and not params_file.is_mapping(folder):
            load_params(folder)  # refuses it in words
        for key, value in overrides.items():
            shown.message(f"for this run only: {key}: {value}")
        with params_file.overridden(folder, overrides, shown.warning):
            return _walk(folder, shown, began, code)


def _walk(root: Path, shown: artifacts.ToPrefect, began: float, code: Mapping[str, Mapping[str, str]]) -> State[Any]:
    """Bring each stage up to date. code: of each, as it was imported (see `pipeline.code`)."""
    check.refuse_bad_input(root)
    versioning.refresh(root)
    done: list[str] = []
    with contextlib.ExitStack() as stack:
        # Tracker and workers are for the first stage that runs: nothing to do needs neither.
        surroundings = cache(lambda: stack.enter_context(run.surroundings(root, shown)))
        for name in versioning.order(root):
            work = partial(_bring_up_to_date, root, name, shown, surroundings, done, began, code.get(name, {}))
            # A task hands back its failed state as it does any other; only asked for its result does it raise.
            _stage.with_options(name=name)(name, work).result()
    if done and done[-1] == "report restored":  # the page of now, which may be of other results than the last
        with contextlib.suppress(OSError):
            run_notes.write(root, load_params(root).model_dump(mode="json"))
    table = summary.read(root)
    if table is not None and not shown.lost:
        artifacts.publish(root, table)
    fresh.conclude(root, shown, evaluated="evaluate run" in done, worked=bool(done))
    if not done:
        return Completed(name=UP_TO_DATE, message="nothing to do")
    return Completed(message=", ".join(done))


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def _stage(name: str, work: Callable[[], State[Any]]) -> State[Any]:
    """One stage, up to date at the end; or a failed state that carries what it raised."""
    try:
        return work()
    except Exception as error:
        return _failed(error)


@task(name="generation", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def _generation(name: str, work: Callable[[], None]) -> None:
    """One generation of trials, which run in the pool below it."""
    work()


def _bring_up_to_date(
    root: Path,
    name: str,
    reporter: Reporter,
    surroundings: Callable[[], tuple[Tracker, WorkerPool]],
    done: list[str],
    began: float,
    code: Mapping[str, str],
) -> State[Any]:
    reason = versioning.stale(root, name)
    if reason is None:
        reporter.stage_skipped(name)
        return Completed(name=UP_TO_DATE, message="nothing it depends on has changed")
    if changed := versioning.changed_above(root, name):
        raise UserError(
            f"{', '.join(changed[:3])}: changed while this run went on, and stages before {name} have used what was "
            "there; run the same command again"
        )
    with versioning.claim(root, name) as held:
        if held.restore():
            reporter.stage_skipped(name, "restored from the cache")
            done.append(f"{name} restored")
            return Completed(name="Restored", message=f"{reason}; an earlier run had the same inputs")
        # The claim has hashed what is on disk; this process has imported what was there when it began.
        now = pipeline.code(root, pipeline.specs(root)[name])
        if edited := sorted(path for path in code.keys() | now.keys() if code.get(path) != now.get(path)):
            raise UserError(f"{', '.join(edited[:3])}: changed since this command began; run the same command again")
        tracker, executor = surroundings()
        if name in UNTRAINED:
            executor.warm_up()
        seconds = run.run_stage(
            root, name, reporter=reporter, tracker=tracker, executor=executor, step=_step, began=began
        )
        held.commit()
    done.append(f"{name} run")
    return Completed(message=f"{reason}; ran {seconds:.1f} s")


def _step(name: str, work: Callable[[], T]) -> T:
    # Prefect is handed no results: it would look through every one of them, and keep it.
    results: list[T] = []
    _generation(name, lambda: results.append(work()))
    return results[0]


def _failed(error: Exception) -> State[Any]:
    """Return a state with the error's text and no traceback; Prefect raises its data to whoever asks for a result."""
    return Failed(
        message=str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {one_line(error)}", data=error
    )


if __name__ == "__main__":
    from flows import cli

    cli.run(["tune", *sys.argv[1:]])
