"""Runs the stages of a throw-away checkout, and says whether what they write is what was recorded."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hone.errors import UserError
from hone.trial import Result
from tasks import comparison, environment, record, trials, versioning
from tasks.comparison import Near
from tasks.record import Machine, Record
from tasks.reporting import Reporter
from tasks.sandbox import Sandbox
from tasks.versioning import Planned
from tasks.wording import number, plural

EQUAL, DIFFERS = 0, 1
SCORES = "artifacts/evaluate/evaluation.json"
TRIALS = ("trials.parquet", "replay.parquet")


class Kept(Protocol):
    """Keeps some of what was recorded, beside the project and its cache."""

    def file(self, name: str, stage: str | None = None) -> bytes | None:
        """Return the content of an out, or None."""

    def trials(self, stage: str) -> list[Result] | None:
        """Return a search's trials, with their configs and curves, or None."""


@dataclass
class Outcome:
    """What came of the stages. differing: by stage, its outs that differ. why: the first of them, in words."""

    ran: list[str] = field(default_factory=list)
    n_outs: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)
    why: str = ""


def locked(plan: Sequence[Planned]) -> dict[str, dict[str, str]]:
    """Return the outs' hashes of each stage that dvc.lock has."""
    by_stage = {
        stage.name: {out: md5 for out, md5 in stage.outs.items() if md5 is not None} for stage in plan if stage.outs
    }
    return {stage.name: by_stage[stage.name] for stage in plan if len(by_stage.get(stage.name, {})) == len(stage.outs)}


def stages(plan: Sequence[Planned], recorded: Record, until: str | None) -> list[Planned]:
    """Return the stages to run: up to `until`, or the last that was recorded. Raises UserError if it was not."""
    names = [stage.name for stage in plan]
    if until is not None and until not in names:
        raise UserError(f"--until: {until!r} is no stage of dvc.yaml; its stages are {', '.join(names)}")
    known = [name for name in names if name in recorded.outs]
    if not known:
        raise UserError(
            f"{recorded.name}: no dvc.lock there has a stage of dvc.yaml; `hone tune`, then commit dvc.lock"
        )
    if until is not None and until not in recorded.outs:
        raise UserError(f"{recorded.name}: has no record of {until}, but of {', '.join(recorded.outs)}")
    return list(plan[: names.index(until or known[-1]) + 1])


def rerun(
    place: Sandbox,
    plan: Sequence[Planned],
    recorded: Record,
    reporter: Reporter,
    *,
    kept: Kept | None = None,
    to_the_end: bool = False,
) -> Outcome:
    """Run stages in a checkout and compare their outs with a record; stop at the first that differs.

    kept: asked for outs that neither the project nor its cache has any more. to_the_end: do not stop.
    Raises UserError if a stage fails.
    """
    outcome = Outcome()
    for stage in plan:
        reporter.stage_started(stage.name)
        started = time.perf_counter()
        place.run_stage(stage)
        hashes = {out: record.md5(place.root / out) for out in stage.outs}
        wanted = recorded.outs.get(stage.name, {})
        differing = [out for out in hashes if out in wanted and hashes[out] != wanted[out]]
        differing += [out for out in wanted if out not in hashes]
        outcome.ran.append(stage.name)
        outcome.n_outs += len(wanted)
        note = "equal" if wanted else "not recorded"
        if differing:
            note = "differs"
            outcome.differing[stage.name] = differing
            outcome.why = outcome.why or _explained(place, stage.name, differing[0], wanted, hashes, kept)
        reporter.stage_finished(stage.name, time.perf_counter() - started, note)
        if differing and not to_the_end:
            break
    return outcome


def verdict(
    place: Sandbox,
    plan: Sequence[Planned],
    recorded: Record,
    outcome: Outcome,
    reporter: Reporter,
    *,
    here: Machine,
    packages: Mapping[str, str],
    kept: Kept | None = None,
) -> int:
    """Report what came of the stages in a table and a sentence; return the exit code.

    here, packages: where, and with what, the stages ran.
    """
    rows = []
    for stage in plan:
        n, bad = len(recorded.outs.get(stage.name, {})), outcome.differing.get(stage.name, [])
        said = f"differs: {', '.join(bad)}" if bad else "equal" if n else "not recorded"
        rows.append([stage.name, str(n), said if stage.name in outcome.ran else "not run"])
    reporter.table("", ["stage", "outs", "result"], rows)
    if not outcome.differing:
        shown = f"{plural(outcome.n_outs, 'out')} of {plural(len(outcome.ran), 'stage')}"
        reporter.message(f"equal to the bit: {recorded.name}, {shown}")
        return EQUAL
    first = next(iter(outcome.differing))
    reporter.message(f"{first} is the first stage that differs: {outcome.why}")
    for line in _circumstances(recorded, here, packages):
        reporter.message(line)
    if elsewhere(recorded, here) and (near := _nearness(place, recorded, kept)):
        reporter.table(
            "Metrics on the sealed rows",
            ["metric", "recorded", "here", "tolerance", ""],
            [
                [
                    f"{one.model}, {one.metric}",
                    number(one.recorded),
                    number(one.made),
                    one.allowed,
                    "within" if one.within else "outside",
                ]
                for one in near
            ],
        )
        if all(one.within for one in near):
            reporter.message(
                f"equal within the tolerances above, and not to the bit: {recorded.name}, another processor"
            )
            return EQUAL
    reporter.message(f"differs: {recorded.name}, from {first} on")
    return DIFFERS


def elsewhere(recorded: Record, here: Machine) -> bool:
    """Return whether a record was made on another machine than this, as far as it says."""
    return recorded.machine is not None and recorded.machine != here


def _circumstances(recorded: Record, here: Machine, packages: Mapping[str, str]) -> list[str]:
    """Return what else was not as it is here, a line each."""
    others = [f"since dvc.lock was written there, {', '.join(recorded.edited)} changed"] if recorded.edited else []
    others += [
        f"{name} was {version} and is {packages.get(name, 'missing')} here"
        for name, version in recorded.packages.items()
        if environment.public(packages.get(name, "")) != environment.public(version)
    ]
    if recorded.machine is None:
        others.append("nothing says on which processor it was made; another one gives other bits")
    elif elsewhere(recorded, here):
        others.append(f"it was made on another processor: {recorded.machine}; this one is {here}")
    return others


def _explained(
    place: Sandbox, stage: str, out: str, wanted: Mapping[str, str], made: Mapping[str, str | None], kept: Kept | None
) -> str:
    """Return in what an out differs from the recorded one, as far as that can still be looked at."""
    if out not in made:
        return f"{out}: is no out of this commit's dvc.yaml"
    hashes = f"md5 {wanted.get(out, 'not recorded')} recorded, {made.get(out)} here"
    path = place.root / out
    original = place.folder / "recorded" / out
    original.parent.mkdir(parents=True, exist_ok=True)
    said = None
    content = _original(place.source, stage, out, wanted.get(out, ""), kept)
    try:
        if content is not None:
            original.write_bytes(content)
            said = _difference(original, path)
        elif kept is not None and path.name == TRIALS[0] and (logged := kept.trials(stage)):
            said = comparison.trials_differ(logged, trials.read(path), whole=False)
    except (ValueError, KeyError, TypeError, OSError):  # another version's, perhaps
        said = None
    return f"{out}: {said} ({hashes})" if said else f"{out}: {hashes}"


def _difference(recorded: Path, made: Path) -> str | None:
    if made.is_dir():
        now = {p.relative_to(made).as_posix(): str(record.md5(p)) for p in made.rglob("*") if p.is_file()}
        return comparison.listing_differs(comparison.listing(recorded.read_bytes()), now)
    if made.name in TRIALS:
        return comparison.trials_differ(trials.read(recorded), trials.read(made))
    if made.suffix == ".json":
        return comparison.json_differs(*(json.loads(path.read_text(encoding="utf-8")) for path in (recorded, made)))
    return comparison.first_line_differs(recorded, made) if made.suffix in (".csv", ".html") else None


def _original(root: Path, stage: str, out: str, md5: str, kept: Kept | None) -> bytes | None:
    """Return what was recorded under a hash: a file, or of a folder DVC's list; None if it is nowhere any more."""
    if record.md5(root / out) == md5 and (root / out).is_file():
        return (root / out).read_bytes()
    if md5 and (path := versioning.cached(root, md5)) is not None:
        return path.read_bytes()
    return kept.file(out, stage) if kept is not None else None


def _nearness(place: Sandbox, recorded: Record, kept: Kept | None) -> list[Near]:
    """Return how near the final numbers are; nothing if they are not there."""
    wanted = recorded.outs.get("evaluate", {}).get(SCORES)
    content = None if wanted is None else _original(place.source, "evaluate", SCORES, wanted, kept)
    if content is None or not (place.root / SCORES).is_file():
        return []
    made = json.loads((place.root / SCORES).read_text(encoding="utf-8"))
    return comparison.nearness(json.loads(content), made)
