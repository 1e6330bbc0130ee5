"""What a database of MLflow's says of a pipeline, as values that can be compared."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

KEY = "hone.key"
CHANGING = ("mlflow.", "hone.git_dirty", "hone.git_changes")
"""Beginnings of tags that say who ran it, and in which tree."""


@dataclass(frozen=True)
class Run:
    """One run. points: (metric, step, value), those of times with no value; each as often as it is there."""

    status: str
    parent: str | None
    params: frozenset[tuple[str, str]]
    tags: frozenset[tuple[str, str]]
    points: Mapping[tuple[str, int, float], int]
    files: frozenset[str]


@dataclass(frozen=True)
class Facts:
    """runs: by key. doubled: keys of which there is more than one run. versions: of the model in the registry."""

    runs: Mapping[str, Run]
    doubled: tuple[str, ...]
    versions: int


NONE = Facts({}, (), 0)


def read(database: Path, experiment: str, artifacts: Path | None = None) -> Facts:
    """Return the facts of one experiment. artifacts: the folder of its runs' files, if it is here."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:

        def rows(query: str) -> dict[str, list[tuple]]:
            found: dict[str, list[tuple]] = {}
            for run, *values in connection.execute(query):
                found.setdefault(run, []).append(tuple(values))
            return found

        runs = connection.execute(
            "SELECT run_uuid, status FROM runs JOIN experiments USING (experiment_id)"
            " WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'",
            (experiment,),
        ).fetchall()
        tags, params = rows("SELECT run_uuid, key, value FROM tags"), rows("SELECT run_uuid, key, value FROM params")
        points = rows("SELECT run_uuid, key, step, value FROM metrics")
        versions = connection.execute("SELECT count(*) FROM model_versions").fetchone()[0]
    keys = {run: dict(tags.get(run, [])).get(KEY, f"no key, {run}") for run, _ in runs}
    found: dict[str, Run] = {}
    for run, status in runs:
        named = dict(tags.get(run, []))
        found[keys[run]] = Run(
            status,
            keys.get(named.get("mlflow.parentRunId", "")),
            frozenset(params.get(run, [])),
            frozenset(item for item in named.items() if not item[0].startswith(CHANGING)),
            Counter(map(_timeless, points.get(run, []))),
            frozenset(_files(artifacts, run)),
        )
    counts = Counter(keys.values())
    return Facts(found, tuple(sorted(key for key, n in counts.items() if n > 1)), versions)


def of_stages(facts: Facts, stages: Collection[str], before: Facts) -> Facts:
    """Return what some stages alone have logged. before: the facts when the first of them began."""
    runs = {}
    for key, run in facts.runs.items():
        below = key.partition("/")[2]
        if not below:
            former = before.runs[key].points if key in before.runs else {}
            points = {point: n for point, n in run.points.items() if point not in former}
            # A stage's end tells the outs of those above it, too, and not those of all that have run before.
            tags = frozenset(tag for tag in run.tags if not tag[0].startswith("hone.outs."))
            runs[key] = replace(run, points=points, tags=tags)
        elif below.partition("/")[0] in stages:
            runs[key] = run
    return Facts(runs, facts.doubled, facts.versions - before.versions)


def differences(expected: Facts, found: Facts, *, files: bool = True) -> Iterator[str]:
    """Yield in what the facts differ."""
    for key in found.doubled:
        yield f"{short(key)} is there twice"
    for key in sorted(expected.runs.keys() - found.runs.keys()):
        yield f"{short(key)} is missing"
    for key in sorted(found.runs.keys() - expected.runs.keys()):
        yield f"{short(key)} should not be there"
    for key in sorted(expected.runs.keys() & found.runs.keys()):
        one, other = expected.runs[key], found.runs[key]
        if one.status != other.status:
            yield f"{short(key)} is {other.status}, not {one.status}"
        if one.parent != other.parent:
            yield f"{short(key)} is below {other.parent}"
        for name in ("params", "tags"):
            if (wrong := getattr(one, name) ^ getattr(other, name)) != frozenset():
                yield f"{short(key)} has other {name}: {sorted(wrong)[:3]}"
        if one.points != other.points:
            missing = sorted(one.points.keys() - other.points.keys())
            more = sorted(other.points.keys() - one.points.keys())
            doubled = [point for point, n in other.points.items() if n > 1]
            yield (
                f"{short(key)} has {sum(other.points.values())} points, not {sum(one.points.values())}:"
                f" missing {missing[:3]}, more {more[:3]}, twice {doubled[:3]}"
            )
        if files and one.files != other.files:
            yield f"{short(key)} has other files: {sorted(one.files ^ other.files)[:3]}"
    if expected.versions != found.versions:
        yield f"the registry has {found.versions} versions, not {expected.versions}"


def move(database: Path, old: str, new: str) -> None:
    """Have a copied database name the files beside it, and not those beside the original."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))


def short(key: str) -> str:
    """Return a key without the pipeline's hash."""
    return key.partition("/")[2] or "the pipeline"


def _timeless(point: tuple) -> tuple[str, int, float]:
    name, step, value = point
    return (name, step, 0.0) if name.startswith("seconds") else (name, step, value)


def _files(artifacts: Path | None, run: str) -> list[str]:
    if artifacts is None:
        return []
    folder = artifacts / run / "artifacts"
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
