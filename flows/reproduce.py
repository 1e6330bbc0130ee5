"""Does a past run again, in a throw-away checkout of its commit and its data, and compares with what it recorded."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows import processes
from hone.errors import UserError
from tasks import environment, files, provenance, record, rerun, sandbox, versioning
from tasks.params import read_params
from tasks.record import Record
from tasks.reporting import Reporter
from tasks.sandbox import Sandbox
from tasks.tracking import OFF
from tasks.tracking.logged import LoggedRun, read_run
from tasks.wording import plural

MLFLOW = "mlflow:"
HASHES = {
    "hone.params_hash": "params.yaml",
    "hone.data_hash": "the data",
    "hone.lock_hash": provenance.LOCK_FILE,
}


def reproduce(root: Path, run: str, reporter: Reporter, *, until: str | None = None, keep: bool = False) -> int:
    """Return 0 if a past run gives again what it gave, 1 if not; report in what it differs.

    run: the id of a pipeline's, a stage's or a trial's run in MLflow, with or without `mlflow:`; or a git revision,
    whose dvc.lock is compared with. until: the last stage to run; None: all, or the one that was asked for. keep:
    leave the checkout, and say where. Raises UserError if it cannot be done.
    """
    logged = _logged(root, run)
    name = f"{MLFLOW}{run.removeprefix(MLFLOW)}" if logged is not None else run
    commit = _commit(root, name, logged)
    recorded = record.parse(name, logged.tags) if logged is not None else Record(name=f"{run} ({commit[:12]})", outs={})
    with sandbox.opened(root, processes.child, keep=keep) as place:
        place.check_out(commit)
        params = place.settle_params()
        place.put_data(recorded.data, list(_texts(params)))
        if logged is not None:
            _put_budget(place, logged)
        _refuse_incomplete(place, recorded.name, params)
        if logged is not None:
            _refuse_other(place, recorded.name, commit, logged, reporter)
        whole = versioning.plan(place.root)
        if logged is None:
            edited = tuple(dict.fromkeys(path for stage in whole for path in stage.edited))
            recorded = Record(name=recorded.name, outs=rerun.locked(whole), edited=edited)
            if edited:
                reporter.warning(f"dvc.lock there was written before the last changes to {', '.join(edited)}")
        plan = rerun.stages(whole, recorded, until or (logged.stage if logged is not None else None))
        of = "" if len(plan) == len(whole) else f"{len(plan)} of "
        reporter.message(
            f"{recorded.name}: running {of}{plural(len(whole), 'stage')} of commit {commit[:12]} in {place.shown}"
        )
        packages = _settle_environment(place, logged, reporter)
        here = record.this_machine(str((params.get("train") or {}).get("device", "cpu")))
        to_the_end = rerun.elsewhere(recorded, here)
        outcome = rerun.rerun(place, plan, recorded, reporter, kept=logged, to_the_end=to_the_end)
        if keep:
            reporter.message(f"the checkout is kept: {place.root}")
        return rerun.verdict(place, plan, recorded, outcome, reporter, here=here, packages=packages, kept=logged)


def _logged(root: Path, run: str) -> LoggedRun | None:
    """Return what MLflow has of a run; None if it is a git revision."""
    named = run.startswith(MLFLOW)
    if not named and sandbox.commit_of(root, run) is not None:
        return None
    if not named and not re.fullmatch(r"[0-9a-f]{32}", run):
        raise UserError(
            f"{run}: is neither a git revision here nor an MLflow run's id; `git log` and `hone ui` show both"
        )
    uri = read_params(root).tracking.uri
    if uri == OFF:
        raise UserError(f"{run}: tracking.uri is none, so there are no runs to look in; name a git revision")
    return read_run(root, uri, run.removeprefix(MLFLOW))


def _commit(root: Path, name: str, logged: LoggedRun | None) -> str:
    """Return the commit of a run or a revision; UserError if the repository does not have it."""
    wanted = name if logged is None else logged.tags.get("hone.git_commit", "none")
    if wanted == "none":
        raise UserError(f"{name}: was made outside of git, or before its first commit, so its code is gone")
    if (commit := sandbox.commit_of(root, wanted)) is None:
        raise UserError(f"{name}: its commit {wanted[:12]} is not in this repository; `git fetch` where it was made")
    return commit


def _put_budget(place: Sandbox, logged: LoggedRun) -> None:
    """Put the measured time budget of a run into the checkout, so that it is not measured anew."""
    if (content := logged.file(record.BUDGET_LOCK)) is not None:
        files.write_bytes(place.root / record.BUDGET_LOCK, content)


def _refuse_incomplete(place: Sandbox, name: str, params: dict[str, Any]) -> None:
    """Raise UserError if the checkout lacks its data, or a time limit's measurement."""
    source = str((params.get("data") or {}).get("source", ""))
    if source and not source.startswith("sklearn:") and not (place.root / source).exists():
        raise UserError(f"{name}: {source} is neither in git at that commit nor tracked by DVC, so its bytes are gone")
    limit = (params.get("budget") or {}).get("time_limit")
    if limit is not None and not (place.root / record.BUDGET_LOCK).exists():
        raise UserError(
            f"{name}: budget.time_limit is {limit}, and what it was measured to be is neither recorded nor in git; "
            f"commit {record.BUDGET_LOCK} with dvc.lock"
        )


def _refuse_other(place: Sandbox, name: str, commit: str, logged: LoggedRun, reporter: Reporter) -> None:
    """Raise UserError if the checkout is not what the run was made from."""
    dirty, made = logged.tags.get("hone.git_dirty") != "false", place.provenance()
    if made is None:
        if not dirty:
            reporter.warning("the commit's code is too old to say whether params and data are the run's")
            return
        made = {}
    others = [said for key, said in HASHES.items() if made.get(key) != logged.tags.get(key)]
    same = made.get("pipeline") == logged.key
    changes = logged.tags.get("hone.git_changes", "which, it does not say")
    if dirty and not same:
        raise UserError(
            f"{name}: was made with uncommitted changes to commit {commit[:12]} ({changes}), which nobody can bring "
            "back; commit them with dvc.lock, then `hone reproduce HEAD`, or `hone tune` for a new run; "
            "`hone verify` checks the working tree as it is"
        )
    if not same and others:
        raise UserError(f"{name}: the checkout of commit {commit[:12]} has another {' and '.join(others)} than the run")
    if dirty:
        reporter.message(f"uncommitted changes of the run ({changes}) are none to what its outs depend on")
    elif not same:
        reporter.warning("the code differs from the run's in files that git ignores")


def _settle_environment(place: Sandbox, logged: LoggedRun | None, reporter: Reporter) -> dict[str, str]:
    """Return the versions of the packages that stages are run with, after building an environment if need be."""
    python = logged.tags.get("hone.python") if logged is not None else None
    lock = place.root / provenance.LOCK_FILE
    if not (why := environment.differs(lock, python)):
        return record.installed()
    more = f" and {len(why) - 3} more" if len(why) > 3 else ""
    reporter.message(f"building the environment that the commit's {lock.name} pins: {', '.join(why[:3])}{more}")
    place.build_environment(python)
    pins = environment.pins(lock.read_text(encoding="utf-8"))
    return {name: pins[name] for name in record.NUMERICAL if name in pins}


def _texts(content: object) -> Iterator[str]:
    """Yield every text in a params.yaml: paths of inputs are among them, whatever that commit named the keys."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _texts(value)


if __name__ == "__main__":
    from flows import cli

    sys.exit(cli.main(["reproduce", *sys.argv[1:]]))
