"""The audit: all findings of a table and its split, the likeliest leaks first, and what was looked for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import problem as problems
from hone.data.audit import duplicates, facts, formulas, groups, ids, leaks, order, sample
from hone.data.audit.findings import Finding
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.data.splitting import SplitIndices


def audit(
    frame: pd.DataFrame,
    split: SplitIndices,
    problem: Problem,
    schema: Schema,
    *,
    group: str | None = None,
    time: str | None = None,
    corrupt: Sequence[tuple[str, str]] = (),
    passed_over: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Return {"rows", "method", "classes", "columns", "findings", "tested"} as JSON values.

    frame: the raw rows that have a target. findings: a list of {kind, severity: "warning" | "info", columns, message,
    count}, warnings first, and those first that matter most. tested: what was looked for, as phrases. group, time: the
    columns that rows are split by, if they are. corrupt: (path, reason) of pictures that could not be read;
    passed_over: paths of files that were not taken for pictures.
    """
    train = frame.iloc[split.train]
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    target = problems.encode(problem, frame[problem.target])
    values = target[split.train].astype(np.float64)
    tests = _Tests()
    named: set[str] = set()
    if schema.image is None:
        named = _leaks(tests, frame, parts, values, problem, schema, split.method, group, time, seed)
    tests.add("equal rows in several parts", duplicates.duplicates(frame, target, parts, schema))
    if schema.image is not None:
        tests.add(
            "equal pictures of several classes", facts.contradictions(train, target[split.train], problem, schema)
        )
        tests.add("files that are no readable pictures", facts.files(corrupt, passed_over))
    if problem.classes is not None:
        tests.add("rare and absent classes", facts.classes(target, parts, problem))
    tests.add(
        "constant and empty columns", [*facts.mostly_missing(train, schema, named), *facts.columns(train, schema)]
    )
    counts = {
        str(label): {part: int((target[rows] == code).sum()) for part, rows in parts.items()}
        for code, label in enumerate(problem.classes or ())
    }
    return {
        "rows": {part: len(rows) for part, rows in parts.items()},
        "method": split.method,
        "classes": counts or None,
        "columns": {column.name: {"kind": column.kind, "reason": column.reason} for column in schema.columns},
        "findings": sorted(tests.findings, key=lambda finding: finding["severity"] != "warning"),
        "tested": tests.tested,
    }


class _Tests:
    """What was looked for, and what was found, in this order."""

    def __init__(self) -> None:
        self.tested: list[str] = []
        self.findings: list[Finding] = []

    def add(self, tested: str, findings: Sequence[Finding]) -> set[str]:
        """Note a test and its findings; return the columns that these name."""
        self.tested.append(tested)
        self.findings += findings
        return {name for finding in findings for name in finding["columns"]}


def _leaks(
    tests: _Tests,
    frame: pd.DataFrame,
    parts: Mapping[str, NDArray[np.int64]],
    target: NDArray[np.float64],
    problem: Problem,
    schema: Schema,
    method: str,
    group: str | None,
    time: str | None,
    seed: int,
) -> set[str]:
    """Look for leaks among training rows, and return the columns that are named: a later test passes them over."""
    train = frame.iloc[parts["train"]]
    at_random = method in ("random", "stratified")
    repeats = groups.find(train, target, problem, schema, seed) if at_random else None
    drawn = sample.draw(train, target, problem, schema, seed)
    named: set[str] = set()
    clocks: frozenset[str] = frozenset()
    if drawn is not None:
        if repeats is not None:
            codes = repeats.codes
        elif method == "grouped" and group is not None:
            codes = pd.factorize(train[group])[0].astype(np.int64)
        else:
            codes = np.arange(len(train))
        drawn = drawn.dealt(codes[drawn.rows], seed)
        clocks = leaks.clocks(drawn, schema, time)
        named |= tests.add("missing values that tell the target", leaks.by_missingness(drawn))
        named |= tests.add("columns that tell it alone", leaks.alone(drawn.without(named), clocks))
        if problem.classes is None:
            named |= tests.add("columns that add up or multiply to it", formulas.formulas(drawn.without(named)))
    if at_random:
        if repeats is None:
            # a note about a split: the column itself stays in what is tested
            tests.add("ids that repeat in several parts", groups.shared(frame, parts, schema, problem.target, seed))
        else:
            named |= tests.add("ids that repeat in several parts", [groups.as_finding(repeats)])
    numbered = ids.ids(train, schema, ignore={*named, *([time] if time is not None else [])})
    found_ids = tests.add("ids and running numbers", numbered)
    named |= found_ids
    sorted_rows = order.sorted_by_target(target, problem, method)
    tests.add("rows sorted by target", sorted_rows)
    if at_random:
        explained = bool(sorted_rows) or repeats is not None
        drifting = [] if explained else order.by_time(train, target, problem, schema, found_ids)
        named |= tests.add("rows in order of time", drifting)
    if drawn is not None:
        named |= tests.add("a column that tells more than all others", leaks.dominant(drawn.without(named), clocks))
    return named
