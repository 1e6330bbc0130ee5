"""Which rows train, validate and test, and folds of the rows that are not sealed."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from hone.data import cells
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.schema import check_column
from hone.errors import UserError
from hone.seeds import derive, numpy_generator

Method = Literal["random", "stratified", "grouped", "time"]
Rows = NDArray[np.int64]

# Of so many random assignments of whole groups, the one nearest to the asked shares is taken.
N_ASSIGNMENTS = 64
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class SplitIndices:
    """Positions of the rows of each part, sorted; together they are all rows, each once."""

    train: Rows
    validation: Rows
    test: Rows
    method: Method


def split(
    frame: pd.DataFrame,
    problem: Problem,
    *,
    method: str = "auto",
    group: str | None = None,
    time: str | None = None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> SplitIndices:
    """Return which rows train, validate and test.

    stratified: each class is shared out alike. grouped: rows with an equal `group` stay together. time: the oldest
    train, the newest test, and rows of one moment stay together. auto: stratified for classes, random for values;
    grouped or time where only such a column is named.
    Raises UserError if the parts cannot be made: shares, classes, groups or moments that do not suffice.
    """
    chosen = choose_method(problem, method, group, time, frame)
    if validation + test >= 1:
        raise UserError(
            f"split.validation + split.test: {validation:g} + {test:g} leave no rows to train on; "
            "they must stay below 1"
        )
    random = numpy_generator(seed, "split")
    codes = _codes(problem, frame)
    parts: tuple[Rows, ...]
    if chosen == "random":
        parts = _share_out(random.permutation(len(frame)), validation, test)
    elif chosen == "stratified":
        parts = _stratified(codes, problem, validation, test, random)
    elif chosen == "grouped":
        parts = _grouped(_groups(frame, str(group)), codes, str(group), validation, test, random)
    else:
        parts = _time_ordered(_moments(frame, str(time)), str(time), validation, test)
    train, validating, testing = (np.sort(np.asarray(part, dtype=np.int64)) for part in parts)
    _check_parts((train, validating, testing), codes, problem, chosen)
    return SplitIndices(train, validating, testing, chosen)


def choose_method(problem: Problem, method: str, group: str | None, time: str | None, frame: pd.DataFrame) -> Method:
    """Return the method that is meant; UserError if it does not fit the task or lacks its column."""
    for key, name in (("split.group", group), ("split.time", time)):
        if name is not None:
            check_column(key, name, frame.columns)
            if name == problem.target:
                raise UserError(f"{key}: {name!r} is the target (data.target); name another column")
    if method == "auto":
        if group is not None and time is not None:
            raise UserError(
                f"split.method: auto, but both split.group ({group!r}) and split.time ({time!r}) are set; "
                "set split.method to grouped or time"
            )
        if group is not None:
            return "grouped"
        if time is not None:
            return "time"
        return "random" if problem.task == "regression" else "stratified"
    if method == "grouped" and group is None:
        raise UserError("split.group: not set, but split.method is grouped; name the column that rows are grouped by")
    if method == "time" and time is None:
        raise UserError("split.time: not set, but split.method is time; name the column that tells how old a row is")
    if method == "stratified" and problem.task == "regression":
        raise UserError("split.method: stratified needs classes, but the task is regression; use random")
    if method not in ("random", "stratified", "grouped", "time"):
        raise UserError(f"split.method: {method!r} is unknown; use auto, random, stratified, grouped or time")
    return method  # type: ignore[return-value]  # one of the four, as just checked


def folds(
    frame: pd.DataFrame,
    split: SplitIndices,
    problem: Problem,
    *,
    k: int,
    group: str | None = None,
    time: str | None = None,
    seed: int = 0,
) -> Rows:
    """Return a fold for each row of train then validation, made by the split's own method; see `fold_rows`.

    k = 0: the validation rows are fold 0, and training rows are -1. Time-ordered: k + 1 blocks from old to new, the
    oldest being -1. Raises UserError for a single fold, and for more folds than rows, groups, moments or rows of a
    class.
    """
    rows = np.concatenate([split.train, split.validation])
    if k == 0:
        return np.repeat(np.array([-1, 0]), [len(split.train), len(split.validation)])
    if k == 1:
        raise UserError(
            "split.folds: 1 fold cannot be held out and trained on; use 0 (the validation rows) or at least 2"
        )
    part = frame.iloc[rows]
    codes = _codes(problem, part)
    if k > len(rows):
        raise UserError(f"split.folds: {k} folds, but only {len(rows)} rows are not sealed; use fewer folds")
    if split.method == "time":
        found = _time_folds(_moments(part, str(time)), str(time), k)
    elif split.method == "grouped":
        groups = _groups(part, str(group))
        n_groups = len(np.unique(groups))
        if k > n_groups:
            raise UserError(
                f"split.folds: {k} folds, but column {group!r} has only {n_groups} groups outside the test rows; "
                f"use at most {n_groups}"
            )
        _check_rarest(codes, problem, k)
        found = _fold_of_each(_grouped_folds(codes, k, seed).split(rows, codes, groups), len(rows))
    else:
        if split.method == "stratified":
            _check_rarest(codes, problem, k)
        kind = StratifiedKFold if split.method == "stratified" else KFold
        found = _fold_of_each(kind(k, shuffle=True, random_state=derive(seed, "folds")).split(rows, codes), len(rows))
    if codes is not None:
        for fold in range(k):
            for name, chosen in zip(("training", "validation"), fold_rows(found, fold), strict=True):
                if len(np.unique(codes[chosen])) < 2:
                    raise UserError(
                        f"split.folds: the {name} rows of fold {fold} of {k} hold one class only "
                        f"({split.method}); use fewer folds"
                    )
    return found


def fold_rows(folds: Rows, fold: int) -> tuple[Rows, Rows]:
    """Return (training, validation) positions for one fold held out.

    Rows of fold -1 always train. Where there are any, folds are in order of time, and only earlier ones train.
    """
    held_out = folds == fold
    training = folds < fold if (folds == -1).any() else ~held_out
    return np.flatnonzero(training), np.flatnonzero(held_out)


def _fold_of_each(pairs: Any, n_rows: int) -> Rows:
    found = np.full(n_rows, -1, dtype=np.int64)
    for fold, (_, held_out) in enumerate(pairs):
        found[held_out] = fold
    return found


def _grouped_folds(codes: Rows | None, k: int, seed: int) -> GroupKFold | StratifiedGroupKFold:
    kind = GroupKFold if codes is None else StratifiedGroupKFold
    return kind(k, shuffle=True, random_state=derive(seed, "folds"))


def _codes(problem: Problem, frame: pd.DataFrame) -> Rows | None:
    """Return class codes; None for regression."""
    return None if problem.classes is None else problems.encode(problem, frame[problem.target]).astype(np.int64)


def _groups(frame: pd.DataFrame, group: str) -> Rows:
    text = cells.texts(frame[group])
    if text.isna().any():
        row = int(text.isna().to_numpy().argmax())
        raise UserError(
            f"split.group: column {group!r} is missing in {int(text.isna().sum())} rows (first: row {row + 1}); "
            "fill it, or remove those rows"
        )
    return pd.factorize(text)[0].astype(np.int64)


def _moments(frame: pd.DataFrame, time: str) -> Rows:
    """Return the rank of each row's moment: equal moments have equal ranks, older ones lower."""
    series = frame[time]
    text = cells.texts(series)
    values: pd.Series[Any] = cells.numbers(series)
    if cells.is_date(series) or not values[text.notna().to_numpy()].notna().all():
        values = cells.dates(series)
    if values.isna().any():
        row = int(values.isna().to_numpy().argmax())
        raise UserError(
            f"split.time: column {time!r}, row {row + 1} is {series.iloc[row]!r}, neither a number nor an ISO date "
            f"({int(values.isna().sum())} such rows); mend or remove them"
        )
    return np.unique(values.to_numpy(), return_inverse=True)[1].astype(np.int64)


def _counts(n_rows: int, share: float) -> int:
    return max(1, int(n_rows * share + 0.5))


def _share_out(order: Rows, validation: float, test: float) -> tuple[Rows, Rows, Rows]:
    """Return (train, validation, test), cut off an order of rows; each share that is asked for gets a row."""
    n_test, n_validation = _counts(len(order), test), _counts(len(order), validation)
    return order[n_test + n_validation :], order[n_test : n_test + n_validation], order[:n_test]


def _stratified(
    codes: Rows | None, problem: Problem, validation: float, test: float, random: np.random.Generator
) -> tuple[Rows, ...]:
    """Return parts in which every class has its share, and at least one row (scikit-learn's may have none)."""
    assert codes is not None
    counts = np.bincount(codes, minlength=problem.n_classes)
    rarest = int(counts.argmin())
    if counts[rarest] < len(PARTS):
        label = (problem.classes or ())[rarest]
        raise UserError(
            f"data.target: class {label!r} of column {problem.target!r} is too rare to split: "
            f"{counts[rarest]} row{'' if counts[rarest] == 1 else 's'}, at least {len(PARTS)} are needed; "
            "merge it with another class, or remove it"
        )
    shares = []
    for code in range(problem.n_classes):
        own = random.permutation(np.flatnonzero(codes == code))
        parts = _share_out(own, validation, test)
        # large shares of a small class may leave it nothing to train on
        shares.append(parts if len(parts[0]) else (own[2:], own[1:2], own[:1]))
    return tuple(np.concatenate([share[part] for share in shares]) for part in range(len(PARTS)))


def _grouped(
    groups: Rows, codes: Rows | None, group: str, validation: float, test: float, random: np.random.Generator
) -> tuple[Rows, ...]:
    """Return parts of whole groups: the best of several random assignments, by rows and by classes."""
    sizes = np.bincount(groups)
    if len(sizes) < len(PARTS):
        raise UserError(
            f"split.group: column {group!r} has {len(sizes)} group{'' if len(sizes) == 1 else 's'}, but training, "
            f"validation and test rows need one each; use a column with more groups, or another split.method"
        )
    asked = np.array([1 - validation - test, validation, test])
    classes = np.ones((len(groups), 1)) if codes is None else np.eye(int(codes.max()) + 1)[codes]
    best, best_error = None, np.inf
    for _ in range(N_ASSIGNMENTS):
        part_of_group = _assign(random.permutation(len(sizes)), sizes, asked)
        part_of_row = part_of_group[groups]
        held = np.stack([classes[part_of_row == part].sum(axis=0) for part in range(len(PARTS))])
        error = float(np.abs(held / classes.sum(axis=0) - asked[:, None]).mean())
        if error < best_error:
            best, best_error = part_of_row, error
    return tuple(np.flatnonzero(best == part) for part in range(len(PARTS)))


def _assign(order: Rows, sizes: Rows, asked: NDArray[np.float64]) -> Rows:
    """Return a part (0 train, 1 validation, 2 test) for each group: each goes where most rows are still lacking."""
    lacking = asked * sizes.sum()
    part_of_group = np.zeros(len(sizes), dtype=np.int64)
    for position, which in enumerate(order):
        # the last three groups fill parts that are still empty
        empty = [part for part in range(len(PARTS)) if not (part_of_group[order[:position]] == part).any()]
        open_parts = empty if len(order) - position <= len(empty) else range(len(PARTS))
        part = max(open_parts, key=lambda part: (lacking[part], -part))
        part_of_group[which] = part
        lacking[part] -= sizes[which]
    return part_of_group


def _time_ordered(moments: Rows, time: str, validation: float, test: float) -> tuple[Rows, ...]:
    """Return parts from old to new, cut where the moment changes."""
    n_moments = int(moments.max()) + 1
    if n_moments < len(PARTS):
        raise UserError(
            f"split.time: column {time!r} has {n_moments} different moment{'' if n_moments == 1 else 's'}, which "
            "cannot be cut into older, newer and newest rows; use a finer column, or another split.method"
        )
    n_known = len(moments) - _counts(len(moments), test)
    newest = _cut(moments, n_known, range(2, n_moments))
    newer = _cut(moments, n_known - _counts(len(moments), validation), range(1, newest))
    return (
        np.flatnonzero(moments < newer),
        np.flatnonzero((moments >= newer) & (moments < newest)),
        np.flatnonzero(moments >= newest),
    )


def _cut(moments: Rows, wanted: int, candidates: range) -> int:
    """Return the moment, of the candidates, before which nearest to `wanted` rows lie."""
    before = np.searchsorted(np.sort(moments), np.asarray(candidates))
    return candidates[int(np.abs(before - wanted).argmin())]


def _time_folds(moments: Rows, time: str, k: int) -> Rows:
    """Return blocks -1, 0, … k - 1 from old to new, of nearly equal size, cut where the moment changes."""
    n_moments = int(moments.max()) + 1
    if n_moments < k + 1:
        raise UserError(
            f"split.folds: {k} folds in order of time need {k + 1} different moments, but column {time!r} has "
            f"{n_moments} outside the test rows; use at most {max(n_moments - 1, 0)}"
        )
    upto = np.cumsum(np.bincount(moments)) / len(moments)
    block = np.minimum((upto * (k + 1) - 1e-9).astype(np.int64), k)
    # a moment with many rows may leap over a block; every block gets a moment all the same
    for position in range(n_moments):
        lowest = max(0, k - (n_moments - 1 - position))
        highest = 0 if position == 0 else block[position - 1] + 1
        block[position] = min(max(block[position], lowest), highest)
    return block[moments] - 1


def _check_rarest(codes: Rows | None, problem: Problem, k: int) -> None:
    if codes is None or problem.classes is None:
        return
    counts = np.bincount(codes, minlength=problem.n_classes)
    found = np.where(counts > 0, counts, counts.max())
    rarest = int(found.argmin())
    if found[rarest] < k:
        raise UserError(
            f"split.folds: {k} folds, but class {problem.classes[rarest]!r} has only {found[rarest]} rows outside "
            f"the test rows; use at most {found[rarest]} folds"
        )


def _check_parts(parts: tuple[Rows, Rows, Rows], codes: Rows | None, problem: Problem, method: str) -> None:
    for name, rows in zip(PARTS, parts, strict=True):
        if len(rows) == 0:
            raise UserError(f"split.{name}: no rows are left for it; use smaller shares, or more rows")
        if codes is not None and len(np.unique(codes[rows])) < 2:
            only = (problem.classes or ())[int(codes[rows[0]])]
            raise UserError(
                f"split.method: {method} leaves the {name} rows ({len(rows)}) with class {only!r} only; "
                "use larger shares, or another method"
            )
