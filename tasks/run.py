"""Runs one stage: ``python -m tasks.run NAME``. This is what dvc.yaml calls, and what a flow calls in its process."""

import argparse
import contextlib
import importlib
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from hone.errors import UserError, of_the_machine
from tasks import (
    executors,
    pipeline,
    project,
    provenance,
    record,
    run_notes,
    run_page,
    summary,
    sync,
    terminal,
    versioning,
)
from tasks.params import load_params
from tasks.reporting import Reporter
from tasks.stage import Stage, Status, Step, plain_step
from tasks.tracking import MLFLOW, OFF, Tracker, open_tracker

ENDED = "ended"
"""The file in a folder of work that says that its stage has ended well."""


def run_stage(
    root: Path,
    name: str,
    *,
    reporter: Reporter,
    tracker: Tracker,
    executor: Executor,
    step: Step = plain_step,
    began: float | None = None,
) -> float:
    """Run the function of one stage on the project's files; return its wall time in seconds.

    The caller holds the project's lock. The tracker is told of the start, the trials and the end. began: see `Stage`.

    Raises UserError for what a person can mend.
    """
    params, stages = load_params(root), pipeline.specs(root)
    if name not in stages:
        raise UserError(f"stage {name!r}: not in dvc.yaml; its stages are {', '.join(stages)}")
    spec = stages[name]
    content = params.model_dump(mode="json")
    stage = Stage(
        name=name,
        root=root,
        params=params,
        fingerprint=pipeline.fingerprint(root, spec, content),
        pipeline=pipeline.pipeline_fingerprint(root, content, params.data.source),
        executor=executor,
        tracker=tracker,
        reporter=reporter,
        step=step,
        began=began,
    )
    data_hash = pipeline.data_hash(root, params.data.source)
    # After these, and the pipeline's key: what they name must be what the earlier stages used.
    publishes = name == "evaluate" and params.tracking.uri != OFF
    changed = versioning.changed_above(root, name) if publishes else []
    started = time.perf_counter()
    reporter.stage_started(name)
    shutil.rmtree(stage.rows, ignore_errors=True)  # of an interrupted run: cheaper to make again than to check
    _prune(stage)
    try:
        tags = provenance.tags(root, content, data_hash, record.tracked(root, params))
        facts = {name: tags[name] for name in provenance.FACTS}
        stage.track_start(
            {name: value for name, value in tags.items() if name not in facts},
            _flat({name: section for name, section in content.items() if name not in provenance.SILENT}),
            run_page.who(root),
            {**facts, **record.surroundings(root, params)},
        )
        importlib.import_module(f"tasks.{name}").run(stage)
        if publishes:
            # The registry is no out, and its failures are warnings.
            if changed:
                reporter.warning(
                    f"registry: the model is not registered, as {', '.join(changed[:3])} changed after earlier stages "
                    "had used it; `hone tune` and `dvc repro` make a model of what is there now"
                )
            elif MLFLOW in tracker.down:
                sync.publish_later(root, reporter, stage.pipeline)
            else:
                sync.publish(root, reporter, params, stage.pipeline, tags)
        taken = time.perf_counter() - started
        stage.track_end("finished", taken, outs=spec.outs, page=run_page.after(root, name, params, data_hash))
        tracker.secure()  # where not even the records find room, the stage has not ended
        with contextlib.suppress(OSError):  # words for people, and no reason to lose a stage
            run_notes.note(root, name, stage.fingerprint, taken, tags)
            if name == "report":
                run_notes.write(root, content)
        shutil.rmtree(stage.rows, ignore_errors=True)
        if stage.workdir.is_dir():
            (stage.workdir / ENDED).touch()
    except BaseException as error:
        status: Status = "failed" if isinstance(error, Exception) else "killed"
        stage.track_end(status, time.perf_counter() - started)
        if isinstance(error, OSError) and (failed := of_the_machine(error)) is not None:
            raise failed from error
        raise
    reporter.stage_finished(name, taken, "")
    return taken


def main(arguments: list[str] | None = None) -> int:
    """Run the stage that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tasks.run", description="Run one stage of the pipeline.")
    parser.add_argument("stage", help="a stage of dvc.yaml, e.g. split")
    name = parser.parse_args(arguments).stage

    def work() -> None:
        root = project.find_root()
        with (
            project.lock(root, f"python -m tasks.run {name}"),
            terminal.open_reporter() as reporter,
            surroundings(root, reporter) as (tracker, executor),
        ):
            run_stage(root, name, reporter=reporter, tracker=tracker, executor=executor)
            if name == "evaluate":  # a flow shows it as its last lines
                summary.show(root, reporter)

    return terminal.guarded(work)


@contextlib.contextmanager
def surroundings(root: Path, reporter: Reporter) -> Iterator[tuple[Tracker, executors.WorkerPool]]:
    """Yield the tracker and the worker processes that params ask for, to be shared by all stages of a process.

    At the end the tracker has sent what it can, and trials that are not done are dropped: a person who pressed Ctrl-C
    does not wait for what will be trained again anyway.
    """
    params = load_params(root)
    with contextlib.closing(open_tracker(root, params.tracking, reporter.warning)) as tracker:
        pool = executors.WorkerPool(executors.count(params.execution.workers))
        try:
            yield tracker, pool
        finally:
            pool.shutdown(cancel_futures=True)


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = str(value)
    return flat


def _prune(stage: Stage) -> None:
    """Delete the checkpoints of stages that have ended, and the oldest folders of work, but for some of each stage.

    Called when a stage begins, never when one ends: by then the stage before has been committed to DVC. Until it is,
    a kill makes it run again, by what is here.
    """
    for name in pipeline.specs(stage.root):
        folders = [folder for folder in stage.workdir.parent.glob(f"{name}-*") if folder != stage.workdir]
        folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in folders[stage.params.execution.keep_work :]:
            shutil.rmtree(folder, ignore_errors=True)
        for folder in folders[: stage.params.execution.keep_work]:
            if (folder / ENDED).exists():
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)


if __name__ == "__main__":
    terminal.hush_warnings()
    terminal.leave(main())
