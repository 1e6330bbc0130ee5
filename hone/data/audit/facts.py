"""Plain facts of a table and its split: rows and files left out, rare classes, columns that say nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells, images
from hone.data.audit.findings import Finding, finding
from hone.data.problem import Problem
from hone.data.schema import Schema, describe

RARE_ROWS = 10
MOSTLY_MISSING = 0.5
MOST_NAMED = 8
MOST_COLUMNS = 4


def files(corrupt: Sequence[tuple[str, str]], passed_over: Sequence[str]) -> list[Finding]:
    """Return what is said of files that pictures were expected in; all that cannot be read are named."""
    found = []
    if corrupt:
        named = ", ".join(f"{path} ({reason})" for path, reason in corrupt)
        message = f"{_count(corrupt, 'picture')} cannot be read, set aside: {named}"
        found.append(finding("corrupt_picture", "warning", [], message, len(corrupt)))
    if passed_over:
        named = ", ".join(passed_over[:MOST_NAMED])
        more = f" and {len(passed_over) - MOST_NAMED} more" if len(passed_over) > MOST_NAMED else ""
        message = f"{_count(passed_over, 'file')} passed over, being no picture by name or in no class: {named}{more}"
        found.append(finding("passed_over", "info", [], message, len(passed_over)))
    return found


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def contradictions(train: pd.DataFrame, target: NDArray[Any], problem: Problem, schema: Schema) -> list[Finding]:
    """Return how many training pictures are there under several classes."""
    if schema.image is None or problem.classes is None:
        return []
    keys = pd.Series(images.digests(train[schema.image.name].tolist()))
    count = int((pd.Series(target).groupby(keys.to_numpy()).transform("nunique") > 1).sum())
    if not count:
        return []
    message = f"{count} training pictures are there in several classes: at most one of them is right"
    return [finding("contradiction", "warning", [problem.target], message, count)]


def classes(target: NDArray[Any], parts: Mapping[str, NDArray[np.int64]], problem: Problem) -> list[Finding]:
    """Return the classes that are rare, or absent from a part."""
    found = []
    for code, label in enumerate(problem.classes or ()):
        counts = {part: int((target[rows] == code).sum()) for part, rows in parts.items()}
        absent = [part for part, count in counts.items() if count == 0]
        if absent:
            message = f"class {label!r} has no {' and no '.join(absent)} rows: it is not learnt, or not measured, there"
            found.append(finding("absent_class", "warning", [problem.target], message, counts["train"]))
        elif counts["train"] < RARE_ROWS:
            message = (
                f"class {label!r} is rare: {counts['train']} training rows, {counts['validation']} validation rows"
            )
            found.append(finding("rare_class", "warning", [problem.target], message, counts["train"]))
    return found


def columns(train: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Return the columns that were left out, and those that were read in an unusual way."""
    found = []
    constant = [column.name for column in schema.columns if column.reason.startswith("constant")]
    empty = [column.name for column in schema.columns if column.reason == "all values are missing"]
    nested = [column.name for column in schema.columns if column.reason.startswith("its cells hold")]
    for kind, names, what in (
        ("constant", constant, "never change in the training rows"),
        ("empty", empty, "are missing in every training row"),
        ("nested", nested, "hold lists or bytes, not single values"),
    ):
        if names:
            found.append(finding(kind, "info", names, f"{describe(names)} left out: values {what}", len(names)))
    for column in schema.columns:
        if column.kind in ("dropped", "image"):
            continue
        if column.reason.startswith("text of numbers"):
            blank = int(cells.numbers(train[column.name]).isna().sum())
            message = f"{column.name!r} is {column.reason}; {blank} blank or missing in the training rows"
            found.append(finding("text_of_numbers", "info", [column.name], message, blank))
    return found


def mostly_missing(train: pd.DataFrame, schema: Schema, ignore: Collection[str] = ()) -> list[Finding]:
    """Return the columns without a value in most training rows, as one finding. ignore: columns named already."""
    used = (column.name for column in schema.columns if column.kind not in ("dropped", "image"))
    used = (name for name in used if name not in ignore)
    shares = {name: float(cells.missing(train[name]).mean()) for name in used}
    names = sorted((name for name in shares if shares[name] > MOSTLY_MISSING), key=lambda name: -shares[name])
    if not names:
        return []
    shown = ", ".join(f"{name!r} ({shares[name]:.0%})" for name in names[:MOST_COLUMNS])
    more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
    message = f"mostly missing: {shown}{more}. Where missing means none, keep them: networks see it as a value"
    return [finding("mostly_missing", "info", names, message, len(names))]
