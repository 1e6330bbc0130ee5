"""Which rows train, validate and test, and folds of the rows that are not sealed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone.data import cells
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.schema import check_column
from hone.errors import UserError
from hone.seeds import derive, numpy_generator

if TYPE_CHECKING:  # scikit-learn takes a second, which few splits have use for
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

Method = Literal["random", "stratified", "grouped", "time"]
Rows = NDArray[np.int64]
Gap = int | timedelta
"""Rows, or how much time, that lie between older rows that train and newer rows that are scored."""

# Of so many random assignments of whole groups, the one nearest to the asked shares is taken.
MOST_ASSIGNED = 2_000_000  # groups, over all random assignments
N_ASSIGNMENTS = 64
N_DRAWS = 64  # of rows to hold out, until both parts have rows of two classes
PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class SplitIndices:
    """Positions of the rows of each part, sorted; together they are all rows, each once, but for those in a gap."""

    train: Rows
    validation: Rows
    test: Rows
    method: Method


@dataclass(frozen=True)
class Scheme:
    """How rows are dealt, as params say it: see `split`. gap: for time alone; 0 is none."""

    method: str = "auto"
    group: str | None = None
    time: str | None = None
    gap: Gap = 0


def split(
    frame: pd.DataFrame,
    problem: Problem,
    *,
    method: str = "auto",
    group: str | None = None,
    time: str | None = None,
    gap: Gap = 0,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> SplitIndices:
    """Return which rows train, validate and test.

    stratified: each class is shared out alike. grouped: rows with an equal `group` stay together. time: the oldest
    train, the newest test, and rows of one moment stay together. auto: stratified for classes, random for values;
    grouped or time where only such a column is named. gap: between parts in order of time; the older part's rows
    that lie in it are in no part (purging: López de Prado, Advances in Financial Machine Learning, 2018, chapter 7).
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
        parts = _time_ordered(_Clock(frame, str(time), gap), str(time), validation, test)
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
    gap: Gap = 0,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row for each row of train then validation, dealt by the split's own method; see `fold_rows`.

    fold: in which it is held out. since: the first fold that it trains for. k = 0: the validation rows are fold 0,
    and training rows are -1. Time-ordered: k + 1 blocks from old to new, the oldest being -1, and a row trains for
    the folds that are newer by more than the gap. Raises UserError for a single fold, and for more folds than rows,
    groups, moments or rows of a class.
    """
    rows = np.concatenate([split.train, split.validation])
    if k == 0:
        return _dealt(np.repeat(np.array([-1, 0]), [len(split.train), len(split.validation)]))
    if k == 1:
        raise UserError(
            "split.folds: 1 fold cannot be held out and trained on; use 0 (the validation rows) or at least 2"
        )
    part = frame.iloc[rows]
    codes = _codes(problem, part)
    if k > len(rows):
        raise UserError(f"split.folds: {k} folds, but only {len(rows)} rows are not sealed; use fewer folds")
    since = None
    if split.method == "time":
        clock = _Clock(part, str(time), gap)
        found = _time_folds(clock.moments, str(time), k)
        since = np.full(len(rows), k)
        for fold in reversed(range(k)):
            since[clock.before(int(clock.moments[found == fold].min()))] = fold
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
        from sklearn.model_selection import KFold, StratifiedKFold

        kind = StratifiedKFold if split.method == "stratified" else KFold
        found = _fold_of_each(kind(k, shuffle=True, random_state=derive(seed, "folds")).split(rows, codes), len(rows))
    dealt = _dealt(found, since)
    for fold in range(k):
        for name, chosen in zip(("training", "validation"), fold_rows(dealt, fold), strict=True):
            if len(chosen) == 0:
                raise UserError(f"split.gap: {gap} leaves fold {fold} of {k} no {name} rows; make it smaller")
            if codes is not None and len(np.unique(codes[chosen])) < 2:
                raise UserError(
                    f"split.folds: the {name} rows of fold {fold} of {k} hold one class only "
                    f"({split.method}); use fewer folds"
                )
    return dealt


def fold_rows(folds: pd.DataFrame, fold: int) -> tuple[Rows, Rows]:
    """Return (training, validation) positions for one fold held out. folds: what `folds` returned."""
    held_out, since = folds["fold"].to_numpy() == fold, folds["since"].to_numpy()
    return np.flatnonzero(~held_out & (since <= fold)), np.flatnonzero(held_out)


def hold_out(
    frame: pd.DataFrame, problem: Problem, scheme: Scheme, *, share: float, seed: int, key: str
) -> tuple[Rows, Rows]:
    """Return positions of (training, held-out) rows, by the scheme; the same seed gives the same ones.

    share: of the rows, about, to hold out; in order of time, the newest.
    Raises UserError, naming `key`, if no draw leaves rows, of two classes at least where there are classes, in both.
    """
    method = choose_method(problem, scheme.method, scheme.group, scheme.time, frame)
    codes = _codes(problem, frame)
    clock = _Clock(frame, str(scheme.time), scheme.gap) if method == "time" else None
    groups = _groups(frame, str(scheme.group)) if method == "grouped" else np.arange(len(frame))
    for draw in range(N_DRAWS):
        random = numpy_generator(seed, "hold_out", draw)
        if clock is not None:
            held_out, older = _newest(clock, share)
        else:
            strata = codes if method == "stratified" and codes is not None else np.zeros(len(frame), dtype=np.int64)
            held_out = np.zeros(len(frame), dtype=np.bool_)
            for stratum in np.unique(strata):
                held_out |= _some(groups, np.flatnonzero(strata == stratum), share, random)
            older = ~held_out
        if all(part.any() and (codes is None or len(np.unique(codes[part])) > 1) for part in (older, held_out)):
            return np.flatnonzero(older), np.flatnonzero(held_out)
    raise UserError(
        f"{key}: of {N_DRAWS} draws ({method}) none leaves rows{'' if codes is None else ' of two classes'} both among "
        f"{share:.0%} of {len(frame)} rows and among the others; use larger shares, or another split.method"
    )


def _some(groups: Rows, rows: Rows, share: float, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask of about a share of some rows, in whole groups: at least one, and not all."""
    names, sizes = np.unique(groups[rows], return_counts=True)
    order = random.permutation(len(names))
    n = 1 + int(np.abs(np.cumsum(sizes[order]) - share * len(rows)).argmin())
    mask = np.zeros(len(groups), dtype=np.bool_)
    mask[rows[np.isin(groups[rows], names[order[: min(n, len(names) - 1)]])]] = True
    return mask


def _newest(clock: "_Clock", share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks of about a share of the rows, the newest, and of the older rows that are clear of them."""
    n, n_moments = len(clock.moments), int(clock.moments.max()) + 1
    if n_moments < 2:
        nothing = np.zeros(n, dtype=np.bool_)
        return nothing, nothing
    start = _cut(clock.moments, n - _counts(n, share), range(1, n_moments))
    return clock.moments >= start, clock.before(start)


def _dealt(fold: Rows, since: Rows | None = None) -> pd.DataFrame:
    return pd.DataFrame({"fold": fold, "since": np.zeros(len(fold), dtype=np.int64) if since is None else since})


def _fold_of_each(pairs: Any, n_rows: int) -> Rows:
    found = np.full(n_rows, -1, dtype=np.int64)
    for fold, (_, held_out) in enumerate(pairs):
        found[held_out] = fold
    return found


def _grouped_folds(codes: Rows | None, k: int, seed: int) -> "GroupKFold | StratifiedGroupKFold":
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

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


class _Clock:
    """When rows are. moments: the rank of each row's: equal ones have equal ranks, older ones lower."""

    def __init__(self, frame: pd.DataFrame, time: str, gap: Gap) -> None:
        self._instants, self.gap = _instants(frame, time), gap
        self.moments: Rows = np.unique(self._instants, return_inverse=True)[1].astype(np.int64)
        if isinstance(gap, timedelta) and self._instants.dtype.kind != "M":
            raise UserError(
                f"split.gap: {gap} is a duration, but column {time!r} (split.time) holds numbers; give a number of rows"
            )

    def before(self, start: int) -> NDArray[np.bool_]:
        """Return a mask of the rows older than a moment, between which and that moment the gap lies."""
        if isinstance(self.gap, timedelta):
            latest = self._instants[self.moments == start].min() - np.timedelta64(self.gap)
            return np.asarray((self.moments < start) & (self._instants <= latest))
        upto = np.concatenate([[0], np.cumsum(np.bincount(self.moments))])  # rows of the moments before each
        return np.asarray((self.moments < start) & (upto[start] - upto[self.moments + 1] >= self.gap))


def _instants(frame: pd.DataFrame, time: str) -> NDArray[Any]:
    """Return when each row is: numbers or dates."""
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
    return np.asarray(values.to_numpy())


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
    codes = np.zeros(len(groups), dtype=np.int64) if codes is None else codes
    n_classes = int(codes.max()) + 1
    best, best_error = None, np.inf
    # Of very many groups any assignment is about as good as the next.
    for _ in range(max(1, min(N_ASSIGNMENTS, MOST_ASSIGNED // len(sizes)))):
        part_of_group = _assign(random.permutation(len(sizes)), sizes, asked)
        part_of_row = part_of_group[groups]
        held = np.bincount(part_of_row * n_classes + codes, minlength=len(PARTS) * n_classes).reshape(-1, n_classes)
        error = float(np.abs(held / held.sum(axis=0) - asked[:, None]).mean())
        if error < best_error:
            best, best_error = part_of_row, error
    return tuple(np.flatnonzero(best == part) for part in range(len(PARTS)))


def _assign(order: Rows, sizes: Rows, asked: NDArray[np.float64]) -> Rows:
    """Return a part (0 train, 1 validation, 2 test) for each group: each goes where most rows are still lacking."""
    lacking = (asked * sizes.sum()).tolist()
    part_of_group = np.zeros(len(sizes), dtype=np.int64)
    empty = list(range(len(PARTS)))
    for position, which in enumerate(order.tolist()):
        # the last three groups fill parts that are still empty
        open_parts = empty if len(order) - position <= len(empty) else range(len(PARTS))
        part = max(open_parts, key=lambda part: (lacking[part], -part))
        part_of_group[which] = part
        lacking[part] -= int(sizes[which])
        if part in empty:
            empty.remove(part)
    return part_of_group


def _time_ordered(clock: _Clock, time: str, validation: float, test: float) -> tuple[Rows, ...]:
    """Return parts from old to new, cut where the moment changes, less what lies in the gap between them."""
    moments = clock.moments
    n_moments = int(moments.max()) + 1
    if n_moments < len(PARTS):
        raise UserError(
            f"split.time: column {time!r} has {n_moments} different moment{'' if n_moments == 1 else 's'}, which "
            "cannot be cut into older, newer and newest rows; use a finer column, or another split.method"
        )
    n_known = len(moments) - _counts(len(moments), test)
    newest = _cut(moments, n_known, range(2, n_moments))
    newer = _cut(moments, n_known - _counts(len(moments), validation), range(1, newest))
    parts = clock.before(newer), (moments >= newer) & clock.before(newest), moments >= newest
    for name, part in zip(PARTS, parts, strict=True):
        if not part.any():
            raise UserError(f"split.gap: {clock.gap} leaves no {name} rows; make it smaller")
    return tuple(map(np.flatnonzero, parts))


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
