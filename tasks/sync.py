"""Sends what trackers have not taken yet, and registers the model that the registry did not take."""

from pathlib import Path

import pandas as pd

from hone.errors import UserError
from tasks import files, pipeline, provenance, record, registry
from tasks.params import load_params
from tasks.registry import Published
from tasks.reporting import Reporter
from tasks.tracking import OFF, open_tracker, waiting

PENDING = ".work/unregistered.json"
"""Names the pipeline whose model the registry is still to get."""
LONGEST = 3600.0


def owed(root: Path) -> bool:
    """Return whether anything waits to be sent."""
    return bool(waiting(root)) or (root / PENDING).exists()


def send(root: Path, reporter: Reporter, patience: float = LONGEST) -> None:
    """Send what waits, each record once, however often it has been tried; the caller holds the project's lock.

    patience: seconds that each tracker may take. Raises UserError if something still waits afterwards.
    """
    params = load_params(root)
    before = waiting(root)
    said: list[str] = []
    open_tracker(root, params.tracking, said.append, patience).close()
    after = waiting(root)
    for name, count in before.items():
        sent = count - after.get(name, 0)
        reporter.message(f"{name}: {sent} of {count} entries sent")
    if (root / PENDING).exists() and not after:
        if files.read_json(root / PENDING) == {"pipeline": _key(root)}:
            publish(root, reporter)
        else:  # what has been edited since has no model yet: it is registered when it has
            (root / PENDING).unlink()
    if after or (root / PENDING).exists():
        what = ", ".join(f"{count} entries for {name}" for name, count in after.items())
        why = f" ({said[0].partition('; ')[0]})" if said else ""
        raise UserError(f"{what or 'the model'} could not be sent{why}; they wait in .work, `hone sync` tries again")


def publish_later(root: Path, reporter: Reporter) -> None:
    """Note that the registry is to get the model that was evaluated last: asking it now would hold things up."""
    _note(root)
    reporter.warning("registry: not asked, as tracking is away; the next run or `hone sync` registers the model")


def publish(root: Path, reporter: Reporter) -> Published | None:
    """Register the model that was evaluated last, unless it is registered; return what came of it.

    Its failures are warnings, and leave a note in .work, so that `send` tries again.
    """
    params = load_params(root)
    if params.tracking.uri == OFF:
        return None
    content = params.model_dump(mode="json")
    key = _note(root)
    published = registry.publish(
        root,
        params.tracking,
        pipeline=key,
        model=root / "artifacts" / "retrain" / "model",
        rows=pd.read_parquet(root / "data" / "split" / "sealed" / "test.parquet"),
        example=pd.read_parquet(root / "data" / "split" / "validation.parquet"),
        scores=files.read_json(root / "artifacts" / "evaluate" / "metrics.json")["tuned"],
        tags=provenance.tags(root, content, pipeline.data_hash(root, params.data.source), record.tracked(root, params)),
        warn=reporter.warning,
    )
    if published is not None:
        (root / PENDING).unlink(missing_ok=True)
        reporter.message(f"registry: {published.name} version {published.version}; {published.decision}")
    return published


def _note(root: Path) -> str:
    """Note that the pipeline's model is still to be registered; return its key."""
    key = _key(root)
    files.write_json(root / PENDING, {"pipeline": key})
    return key


def _key(root: Path) -> str:
    params = load_params(root)
    return pipeline.pipeline_fingerprint(root, params.model_dump(mode="json"), params.data.source)
