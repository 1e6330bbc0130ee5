"""Looks whether `hone tune` has anything to do, before it starts what takes seconds: Prefect, torch, MLflow."""

import contextlib
from pathlib import Path

from hone.errors import UserError
from tasks import params_file, summary, sync, versioning
from tasks.params import load_params
from tasks.reporting import Reporter

NOTHING = "nothing to do: data, code and params are as they were"
SOON = 60.0
"""Seconds for which a run that evaluates nothing sends what trackers have not taken."""


def up_to_date(root: Path, reporter: Reporter) -> bool:
    """Return True, after showing the last run's result, if no stage is stale; False, after showing nothing, if one is.

    Raises UserError for params that a run would refuse.
    """
    params_file.restore(root, reporter.warning)  # a killed run with overrides may have left them in params.yaml
    load_params(root)
    stages = versioning.fresh(root)
    if stages is None:
        return False
    for name in stages:
        reporter.stage_skipped(name)
    conclude(root, reporter, evaluated=False, worked=False)
    return True


def conclude(root: Path, reporter: Reporter, *, evaluated: bool, worked: bool) -> None:
    """Send what trackers have not taken, and show what the run came to.

    evaluated: whether `evaluate` ran just now; trackers have been asked then. worked: whether any stage did.
    """
    if not evaluated and sync.owed(root):
        with contextlib.suppress(UserError):  # there is time for it in the next run, too
            sync.send(root, reporter, SOON)
    if not worked:
        reporter.message(NOTHING)
    summary.show(root, reporter)
