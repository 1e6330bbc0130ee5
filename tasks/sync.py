"""Sends what trackers have not taken yet, and registers the model that the registry did not take."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hone.errors import UserError
from tasks import champions, files, pipeline, provenance, record
from tasks.params import Params, load_params
from tasks.reporting import Reporter
from tasks.tracking import MLFLOW, OFF, names, open_tracker, uri, views, waiting

if TYPE_CHECKING:
    from tasks.registry import Published

PENDING = ".work/unregistered.json"
"""Names the pipeline whose model the registry is still to get, and the hashes of model and scores."""
MODEL, SCORES = "artifacts/retrain/model", "artifacts/evaluate/evaluation.json"
LONGEST = 3600.0


def owed(root: Path) -> bool:
    """Return whether anything waits to be sent."""
    tracking = load_params(root).tracking
    return bool(waiting(root).keys() & names(tracking)) or (root / PENDING).exists()


def send(root: Path, reporter: Reporter, patience: float = LONGEST) -> None:
    """Send what waits, each record once, however often it has been tried; the caller holds the project's lock.

    What a tracker refuses is left out, with a warning. patience: seconds that each tracker may take. Raises UserError
    if something still waits afterwards.
    """
    params = load_params(root)
    before = waiting(root)
    open_tracker(root, params.tracking, reporter.warning, patience).close()
    after = waiting(root)
    for name, count in before.items():
        if name in names(params.tracking):
            reporter.message(f"{name}: {count - after.get(name, 0)} of {count} entries sent")
        else:
            reporter.warning(
                f"{name}: {count} entries wait, and params.yaml no longer names it under tracking; "
                f"name it again to send them, or delete .work/spool/{name}.jsonl"
            )
            after.pop(name, None)
    if (root / PENDING).exists() and MLFLOW not in after:
        content = params.model_dump(mode="json")
        key = pipeline.pipeline_fingerprint(root, content, params.data.source)
        if params.tracking.uri != OFF and files.read_json(root / PENDING) == _noted(root, key):
            data_hash = pipeline.data_hash(root, params.data.source)
            tags = provenance.tags(root, content, data_hash, record.tracked(root, params))
            publish(root, reporter, params, key, tags)
        else:  # what has been edited since has no model yet: it is registered when it has
            (root / PENDING).unlink()
    if after or (root / PENDING).exists():
        what = ", ".join(f"{count} entries for {name}" for name, count in after.items())
        raise UserError(f"{what or 'the model'} could not be sent; they wait in .work, `hone sync` tries again")


def publish_later(root: Path, reporter: Reporter, key: str) -> None:
    """Note that the registry is to get the model that was just evaluated: asking it now would hold things up.

    key: the pipeline's.
    """
    files.write_json(root / PENDING, _noted(root, key))
    reporter.warning(
        "registry: not asked, as tracking is away; `hone sync` registers the model, or the next `hone tune`"
    )


def publish(root: Path, reporter: Reporter, params: Params, key: str, tags: Mapping[str, str]) -> "Published | None":
    """Register the model that was just evaluated, unless it is registered; return what came of it.

    key, tags: the pipeline's. The registry's failures are warnings, and leave a note in .work, so that `send` tries
    again.
    """
    if params.tracking.uri == OFF:
        return None
    # Imported here because it loads torch; `owed` must not.
    from tasks import registry
    from tasks.registry import Candidate

    files.write_json(root / PENDING, _noted(root, key))
    sealed = root / "data" / "split" / "sealed" / "test.parquet"
    published = registry.publish(
        root,
        params,
        Candidate(
            pipeline=key,
            model=root / MODEL,
            sealed=str(record.md5(sealed)),
            evaluation=files.read_json(root / SCORES),
            tags=tags,
        ),
        rows=pd.read_parquet(sealed),
        example=pd.read_parquet(root / "data" / "split" / "validation.parquet"),
        warn=reporter.warning,
    )
    if published is not None:
        (root / PENDING).unlink(missing_ok=True)
        reporter.message(f"registry: {published.name} version {published.version}; {published.decision}")
        if published.looks > 1:  # of one there is nothing to warn of, and the line above has said it
            reporter.message(champions.seen_by(published.looks))
        if published.run is not None:
            reporter.message(_how_to_do_again(root, published.run, tags))
            store = uri.resolve(root, params.tracking.uri)
            served = "" if store.startswith(uri.SERVERS) else ", once `hone ui` runs"
            reporter.message("\n".join([f"MLflow{served}:", *views.lines(root, store, params.tracking.model, key)]))
    return published


def _how_to_do_again(root: Path, run: str, tags: Mapping[str, str]) -> str:
    """Return where a run is in MLflow, and how it can be done again. tags: see `provenance.tags`."""
    if tags["hone.git_commit"] != "none" and tags["hone.git_dirty"] == "false":
        return f"run {run} in MLflow: `hone reproduce {run}` does it again"
    changes = tags["hone.git_changes"]
    what = "what is not in git" if changes == "none" else f"uncommitted changes ({changes})"
    locks = f"dvc.lock and {record.BUDGET_LOCK}" if (root / record.BUDGET_LOCK).exists() else "dvc.lock"
    return f"run {run} in MLflow, of {what}: committed with {locks}, `hone reproduce HEAD` does it again"


def _noted(root: Path, key: str) -> dict[str, str | None]:
    """Return what tells a pipeline's model from another's that has come into its place."""
    return {"pipeline": key, "model": record.md5(root / MODEL), "scores": record.md5(root / SCORES)}
