"""Runs the working tree's pipeline again, in a throw-away checkout, and compares with the outs that are there."""

import sys
from pathlib import Path

from flows import processes
from hone.errors import UserError
from tasks import environment, project, provenance, record, rerun, sandbox, versioning
from tasks.params import load_params
from tasks.record import Record
from tasks.reporting import Reporter
from tasks.wording import plural


def verify(root: Path, reporter: Reporter, *, until: str | None = None, keep: bool = False) -> int:
    """Return 0 if the outs of the working tree are what its code, params and data give again, 1 if not; report why.

    until: the last stage to look at; None: all. keep: leave the checkout, and say where. Raises UserError if a stage
    is stale or fails. The project is locked only while it is copied.
    """
    with sandbox.opened(root, processes.child, keep=keep) as place:
        if keep:
            reporter.message(f"the checkout stays in {place.shown}")
        with project.lock(root, "hone verify"):
            params = load_params(root)
            order = versioning.order(root)
            if until is not None and until not in order:
                raise UserError(f"--until: {until!r} is no stage of dvc.yaml; its stages are {', '.join(order)}")
            for name in order:
                if reason := versioning.stale(root, name):
                    raise UserError(f"{name}: is not up to date ({reason}); `hone tune` first, then verify")
            place.copy_tree([*record.named(params), record.BUDGET_LOCK, "dvc.lock"])
        plan = versioning.plan(place.root)
        recorded = Record(name="the working tree", outs=rerun.locked(plan), packages=record.installed())
        place.settle_params()
        if why := environment.differs(root / provenance.LOCK_FILE, None):
            reporter.warning(f"packages here are not those of {provenance.LOCK_FILE}: {', '.join(why[:3])}")
        plan = rerun.stages(plan, recorded, until)
        reporter.message(f"running {plural(len(plan), 'stage')} of the working tree in {place.shown}")
        outcome = rerun.rerun(place, plan, recorded, reporter)
        here = record.this_machine(params.train.device)
        return rerun.verdict(place, plan, recorded, outcome, reporter, here=here, packages=record.installed())


if __name__ == "__main__":
    from flows import cli

    cli.run(["verify", *sys.argv[1:]])
