"""Runs one stage: ``python -m tasks.run NAME``. This is what dvc.yaml calls, and what a flow calls in its process."""

import argparse
import contextlib
import importlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pandas as pd

from hone.errors import UserError
from tasks import executors, files, pipeline, project, provenance, record, registry, terminal
from tasks.params import load_params
from tasks.reporting import Reporter
from tasks.stage import Stage, Status, Step, plain_step
from tasks.tracking import Tracker, open_tracker

KEPT_WORKDIRS = 3
"""How many folders of interrupted or former work are kept a stage: params may be changed there and back."""


def run_stage(
    root: Path,
    name: str,
    *,
    reporter: Reporter,
    tracker: Tracker,
    executor: Executor,
    step: Step = plain_step,
) -> float:
    """Run the function of one stage on the project's files; return its wall time in seconds.

    The caller holds the project's lock. The tracker is told of the start, the trials and the end.

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
    )
    started = time.perf_counter()
    reporter.stage_started(name)
    try:
        data_hash = pipeline.data_hash(root, params.data.source)
        tags = provenance.tags(root, content, data_hash, record.tracked(root, params))
        stage.track_start(
            tags,
            _flat({name: section for name, section in content.items() if name not in provenance.SILENT}),
            record.surroundings(root, params),
        )
        importlib.import_module(f"tasks.{name}").run(stage)
        if name == "evaluate":
            _publish(stage, tags)
        taken = time.perf_counter() - started
        # A reproduction must not measure a time limit anew.
        kept = [record.BUDGET_LOCK] if params.budget.time_limit and (root / record.BUDGET_LOCK).is_file() else []
        stage.track_end("finished", taken, outs=spec.outs, record=record.outs(root, name), kept=kept)
        shutil.rmtree(stage.rows, ignore_errors=True)
        _prune(stage)
    except BaseException as error:
        status: Status = "failed" if isinstance(error, Exception) else "killed"
        stage.track_end(status, time.perf_counter() - started)
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

    return terminal.guarded(work)


@contextlib.contextmanager
def surroundings(root: Path, reporter: Reporter) -> Iterator[tuple[Tracker, Executor]]:
    """Yield the tracker and the worker processes that params ask for, to be shared by all stages of a process.

    At the end the tracker has sent what it can, and trials that are still queued are dropped.
    """
    params = load_params(root)
    with contextlib.closing(open_tracker(root, params.tracking, reporter.warning)) as tracker:
        pool = executors.WorkerPool(executors.count(params.execution.workers))
        try:
            yield tracker, pool
        except BaseException:
            pool.kill()  # a person who pressed Ctrl-C does not wait for trials that will be trained again anyway
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _publish(stage: Stage, tags: Mapping[str, str]) -> None:
    """Register the model that has just been evaluated; the registry is no out, and its failures are warnings."""
    published = registry.publish(
        stage.root,
        stage.params.tracking,
        pipeline=stage.pipeline,
        model=stage.path("artifacts", "retrain", "model"),
        rows=pd.read_parquet(stage.path("data", "split", "sealed", "test.parquet")),
        example=pd.read_parquet(stage.path("data", "split", "validation.parquet")),
        scores=files.read_json(stage.artifact("metrics.json"))["tuned"],
        tags=tags,
        warn=stage.reporter.warning,
    )
    if published is not None:
        stage.reporter.message(f"registry: {published.name} version {published.version}; {published.decision}")


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = str(value)
    return flat


def _prune(stage: Stage) -> None:
    """Delete the oldest folders of this stage's former work."""
    folders = sorted(
        stage.workdir.parent.glob(f"{stage.name}-*"), key=lambda folder: folder.stat().st_mtime, reverse=True
    )
    for folder in folders[KEPT_WORKDIRS:]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
