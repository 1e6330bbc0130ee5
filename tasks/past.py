"""A past run: found by its name, and brought back into a throw-away checkout, or refused with the reason."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone.errors import UserError
from tasks import environment, files, provenance, record, rerun, sandbox, versioning
from tasks.params import read_params
from tasks.record import Machine, Record
from tasks.reporting import Reporter
from tasks.sandbox import Sandbox
from tasks.tracking import OFF
from tasks.tracking.logged import LoggedRun, read_run
from tasks.versioning import Planned

MLFLOW = "mlflow:"
HASHES = {
    "hone.params_hash": "params.yaml",
    "hone.data_hash": "the data",
    "hone.lock_hash": provenance.LOCK_FILE,
}


@dataclass(frozen=True)
class Past:
    """A run that was. name: as people call it. logged: what MLflow has of it; None if it is a git revision."""

    name: str
    commit: str
    logged: LoggedRun | None

    @property
    def stage(self) -> str | None:
        """The stage that was asked for; None: all."""
        return self.logged.stage if self.logged is not None else None

    @property
    def python(self) -> str | None:
        """The version of Python that it was made with, where that is known."""
        return self.logged.tags.get("hone.python") if self.logged is not None else None


@dataclass(frozen=True)
class BroughtBack:
    """What a checkout is to do again. here and packages: where, and with what, it is done."""

    recorded: Record
    plan: list[Planned]
    here: Machine
    packages: dict[str, str]


def find(root: Path, run: str) -> Past:
    """Return a past run. run: an id in MLflow, with or without `mlflow:`, or a git revision.

    Raises UserError if there is none, or its commit is not in the repository.
    """
    logged = _logged(root, run)
    name = run if logged is None else f"{MLFLOW}{run.removeprefix(MLFLOW)}"
    wanted = run if logged is None else logged.tags.get("hone.git_commit", "none")
    if wanted == "none":
        raise UserError(f"{name}: was made outside of git, or before its first commit, so its code is gone")
    if (commit := sandbox.commit_of(root, wanted)) is None:
        raise UserError(f"{name}: its commit {wanted[:12]} is not in this repository; `git fetch` where it was made")
    return Past(name if logged is not None else f"{run} ({commit[:12]})", commit, logged)


def bring_back(place: Sandbox, past: Past, reporter: Reporter, until: str | None = None) -> BroughtBack:
    """Return what is to be done again, after making a checkout what the run was made from: code, data, packages.

    until: the last stage; None: the one that was asked for, or all. Raises UserError if something of it is gone, or
    was never committed.
    """
    recorded = Record(name=past.name, outs={}) if past.logged is None else record.parse(past.name, past.logged.tags)
    place.check_out(past.commit)
    params = place.settle_params()
    place.put_data(recorded.data, list(_texts(params)), _source(params))
    if past.logged is not None and (content := past.logged.file(record.BUDGET_LOCK)) is not None:
        files.write_bytes(place.root / record.BUDGET_LOCK, content)  # so that it is not measured anew
    _refuse_incomplete(place, past.name, params)
    if past.logged is not None:
        _refuse_other(place, past, past.logged, reporter)
    plan = versioning.plan(place.root)
    if past.logged is None:
        edited = tuple(dict.fromkeys(path for stage in plan for path in stage.edited))
        recorded = Record(name=past.name, outs=rerun.locked(plan), edited=edited)
        if edited:
            reporter.warning(f"dvc.lock there was written before the last changes to {', '.join(edited)}")
    plan = rerun.stages(plan, recorded, until or past.stage)
    device = str((params.get("train") or {}).get("device", "cpu"))
    packages = _settle_environment(place, past.python, reporter)
    return BroughtBack(recorded, plan, record.this_machine(device), packages)


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


def _refuse_incomplete(place: Sandbox, name: str, params: dict[str, Any]) -> None:
    """Raise UserError if the checkout lacks its data, or a time limit's measurement."""
    source = _source(params)
    if source and not source.startswith("sklearn:") and not (place.root / source).exists():
        raise UserError(f"{name}: {source} is neither in git at that commit nor tracked by DVC, so its bytes are gone")
    limit = (params.get("budget") or {}).get("time_limit")
    if limit is not None and not (place.root / record.BUDGET_LOCK).exists():
        raise UserError(
            f"{name}: budget.time_limit is {limit}, and what it was measured to be is neither recorded nor in git; "
            f"commit {record.BUDGET_LOCK} with dvc.lock"
        )


def _refuse_other(place: Sandbox, past: Past, logged: LoggedRun, reporter: Reporter) -> None:
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
    locks = f"dvc.lock and {record.BUDGET_LOCK}" if (place.source / record.BUDGET_LOCK).exists() else "dvc.lock"
    if dirty and not same:
        raise UserError(
            f"{past.name}: was made with uncommitted changes to commit {past.commit[:12]} ({changes}), which nobody "
            f"can bring back; commit them with {locks}, then `hone reproduce HEAD`; "
            "`hone verify` checks the working tree as it is"
        )
    if not same and others:
        raise UserError(
            f"{past.name}: the checkout of commit {past.commit[:12]} has another {' and '.join(others)} than the run"
        )
    if dirty:
        reporter.message(f"uncommitted changes of the run ({changes}) are none to what its outs depend on")
    elif not same:
        reporter.warning("the code differs from the run's in files that git ignores")


def _settle_environment(place: Sandbox, python: str | None, reporter: Reporter) -> dict[str, str]:
    """Return the versions of the packages that stages are run with, after building an environment if need be."""
    lock = place.root / provenance.LOCK_FILE
    if not lock.is_file():
        raise UserError(f"{lock.name}: that commit has none, so nothing says which packages it was made with")
    if not (why := environment.differs(lock, python)):
        return record.installed()
    more = f" and {len(why) - 3} more" if len(why) > 3 else ""
    reporter.message(f"building the environment that the commit's {lock.name} pins: {', '.join(why[:3])}{more}")
    place.build_environment(python)
    pins = environment.pins(lock.read_text(encoding="utf-8"))
    return {name: pins[name] for name in record.NUMERICAL if name in pins}


def _source(params: dict[str, Any]) -> str:
    """Return what a params.yaml names as the data; nothing if that is left out."""
    return str((params.get("data") or {}).get("source", ""))


def _texts(content: object) -> Iterator[str]:
    """Yield every text in a params.yaml: paths of inputs are among them, whatever that commit named the keys."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _texts(value)
