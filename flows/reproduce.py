"""Does a past run again, in a throw-away checkout of its commit and its data, and compares with what it recorded."""

import sys
from pathlib import Path

from flows import processes
from tasks import past, rerun, sandbox
from tasks.reporting import Reporter
from tasks.wording import plural


def reproduce(root: Path, run: str, reporter: Reporter, *, until: str | None = None, keep: bool = False) -> int:
    """Return 0 if a past run gives again what it gave, 1 if not; report in what it differs.

    run: the id of a pipeline's, a stage's or a trial's run in MLflow, with or without `mlflow:`; or a git revision,
    whose dvc.lock is compared with. until: the last stage to run; None: all, or the one that was asked for. keep:
    leave the checkout, and say where. Raises UserError if it cannot be done.
    """
    asked = past.find(root, run)
    with sandbox.opened(root, processes.child, keep=keep) as place:
        if keep:
            reporter.message(f"the checkout stays in {place.shown}")
        back = past.bring_back(place, asked, reporter, until)
        plan = back.plan
        reporter.message(f"{asked.name}: running {plural(len(plan), 'stage')} in {place.shown}")
        to_the_end = rerun.elsewhere(back.recorded, back.here)
        outcome = rerun.rerun(place, plan, back.recorded, reporter, kept=asked.logged, to_the_end=to_the_end)
        return rerun.verdict(
            place,
            plan,
            back.recorded,
            outcome,
            reporter,
            here=back.here,
            packages=back.packages,
            kept=asked.logged,
        )


if __name__ == "__main__":
    from flows import cli

    cli.run(["reproduce", *sys.argv[1:]])
