"""What a careful reader would notice about a table and its split, as JSON findings.

Nothing but counts is told about test rows: leaks, ids and levels are looked for in training rows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from hone import metrics
from hone.data import cells, images
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.schema import Column, Schema, date_parts, describe
from hone.data.splitting import SplitIndices
from hone.seeds import derive

Finding = dict[str, Any]

# Balanced accuracy, or R2, from one column alone, above which it is taken for a leak.
LEAK_SCORE = 0.98
N_LEAK_ROWS = 2000
MOST_LEAK_CELLS = 400_000
LEAK_DEPTH = 8
LARGEST_OF_TREE = 1e38  # scikit-learn's read float32
DUPLICATES_WARNED = 0.01
RARE_ROWS = 10
PIECE = 100_000
MOSTLY_MISSING = 0.5
MOST_NAMED = 8
ID_NAME = re.compile(r"(^|[_\-\s.])(id|uuid|guid|key|index|nr|no|number)$|^unnamed: \d+$|[a-z](ID|Id)$", re.IGNORECASE)


def audit(
    frame: pd.DataFrame,
    split: SplitIndices,
    problem: Problem,
    schema: Schema,
    *,
    n_missing_target: int = 0,
    corrupt: Sequence[tuple[str, str]] = (),
    passed_over: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Return {"rows", "method", "classes", "columns", "findings"} as JSON values.

    frame: the raw rows that have a target. findings: a list of {kind, severity: "warning" | "info", columns, message,
    count}, warnings first. n_missing_target: rows that were left out before. corrupt: (path, reason) of pictures that
    could not be read; passed_over: paths of files that were not taken for pictures of a class.
    """
    train = frame.iloc[split.train]
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    target = problems.encode(problem, frame[problem.target])
    findings = [
        *_missing_targets(problem, n_missing_target),
        *_files(corrupt, passed_over),
        *_contradictions(train, target[split.train], problem, schema),
        *_leaks(train, target[split.train], problem, schema, seed),
        *_duplicates(frame, target, parts, schema),
        *_classes(target, parts, problem),
        *_ids(train, schema),
        *_columns(train, schema),
        *([] if schema.image is not None else _order(target, problem, split.method)),  # folder by folder, as always
    ]
    counts = {
        str(label): {part: int((target[rows] == code).sum()) for part, rows in parts.items()}
        for code, label in enumerate(problem.classes or ())
    }
    return {
        "rows": {part: len(rows) for part, rows in parts.items()},
        "method": split.method,
        "classes": counts or None,
        "columns": {column.name: {"kind": column.kind, "reason": column.reason} for column in schema.columns},
        "findings": sorted(findings, key=lambda finding: finding["severity"] != "warning"),
    }


def _finding(kind: str, severity: str, columns: list[str], message: str, count: int) -> Finding:
    return {"kind": kind, "severity": severity, "columns": columns, "message": message, "count": count}


def _missing_targets(problem: Problem, count: int) -> list[Finding]:
    if not count:
        return []
    message = f"{count} rows without a value in {problem.target!r} were left out"
    return [_finding("missing_target", "info", [problem.target], message, count)]


def _files(corrupt: Sequence[tuple[str, str]], passed_over: Sequence[str]) -> list[Finding]:
    """Return what is said of files that pictures were expected in; all that cannot be read are named."""
    found = []
    if corrupt:
        named = ", ".join(f"{path} ({reason})" for path, reason in corrupt)
        message = f"{_count(corrupt, 'picture')} cannot be read, set aside: {named}"
        found.append(_finding("corrupt_picture", "warning", [], message, len(corrupt)))
    if passed_over:
        named = ", ".join(passed_over[:MOST_NAMED])
        more = f" and {len(passed_over) - MOST_NAMED} more" if len(passed_over) > MOST_NAMED else ""
        message = f"{_count(passed_over, 'file')} passed over, being no picture by name or in no class: {named}{more}"
        found.append(_finding("passed_over", "info", [], message, len(passed_over)))
    return found


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _contradictions(train: pd.DataFrame, target: NDArray[Any], problem: Problem, schema: Schema) -> list[Finding]:
    """Return how many training pictures are there under several classes."""
    if schema.image is None or problem.classes is None:
        return []
    keys = pd.Series(images.digests(train[schema.image.name].tolist()))
    count = int((pd.Series(target).groupby(keys.to_numpy()).transform("nunique") > 1).sum())
    if not count:
        return []
    message = f"{count} training pictures are there in several classes: at most one of them is right"
    return [_finding("contradiction", "warning", [problem.target], message, count)]


def _leaks(train: pd.DataFrame, target: NDArray[Any], problem: Problem, schema: Schema, seed: int) -> list[Finding]:
    """Return the columns from which alone a small tree predicts the target almost perfectly, cross-validated."""
    n_rows = max(200, min(N_LEAK_ROWS, MOST_LEAK_CELLS // max(1, len(schema.used))))
    if len(train) > n_rows:
        rows = np.sort(np.random.default_rng(derive(seed, "audit")).permutation(len(train))[:n_rows])
        train, target = train.iloc[rows], target[rows]
    if problem.task != "regression":
        # a class that is hardly in the sample can neither confirm nor deny a leak
        common = np.isin(target, np.flatnonzero(np.bincount(target) >= 6))
        train, target = train.iloc[common], target[common]
    if len(train) < 20 or len(np.unique(target)) < 2:
        return []
    found = []
    for column in schema.columns:
        if column.kind in ("dropped", "image"):
            continue
        score = _score_alone(_as_numbers(train[column.name], column), target, problem, seed)
        if score >= LEAK_SCORE:
            measure = "R2" if problem.task == "regression" else "balanced accuracy"
            message = (
                f"{column.name!r} alone predicts {problem.target!r} almost perfectly ({measure} {score:.3f}): "
                "is it known before the target is? If not, list it in data.drop"
            )
            found.append(_finding("leak", "warning", [column.name], message, 1))
    return found


def _score_alone(x: NDArray[np.float64], target: NDArray[Any], problem: Problem, seed: int) -> float:
    state = derive(seed, "audit", "folds") % 2**31
    if problem.task == "regression":
        tree = DecisionTreeRegressor(max_depth=LEAK_DEPTH, min_samples_leaf=2, random_state=0)
        return metrics.score(
            "r2", problem, target, cross_val_predict(tree, x, target, cv=KFold(3, shuffle=True, random_state=state))
        )
    # Gini is indifferent to how many of several classes a split sets apart, and would need a depth of their number
    classes = DecisionTreeClassifier(
        criterion="entropy", max_depth=LEAK_DEPTH, min_samples_leaf=2, class_weight="balanced", random_state=0
    )
    label = cross_val_predict(classes, x, target, cv=StratifiedKFold(3, shuffle=True, random_state=state))
    return float(np.mean([(label[target == code] == code).mean() for code in np.unique(target)]))


def _as_numbers(series: "pd.Series[Any]", column: Column) -> NDArray[np.float64]:
    """Return [n, parts]: a column as a tree can read it."""
    if column.kind == "numeric":
        values = cells.numbers(series)
        if values.abs().max() > LARGEST_OF_TREE:  # their order says as much
            values = values.rank(method="dense")
        return np.asarray(values, dtype=np.float64).reshape(-1, 1)
    if column.kind == "date":
        parts = date_parts(cells.dates(series, column.pattern))
        return np.column_stack([np.asarray(parts[part], dtype=np.float64) for part in column.parts])
    text = cells.booleans(series) if column.kind == "boolean" else cells.texts(series)
    return pd.factorize(text, sort=True)[0].astype(np.float64).reshape(-1, 1)


def _duplicates(
    frame: pd.DataFrame, target: NDArray[Any], parts: Mapping[str, NDArray[np.int64]], schema: Schema
) -> list[Finding]:
    """Return how many rows occur, target and all, in two parts, and how often training rows repeat."""
    keys = np.concatenate([_keys(*piece, schema) for piece in _pieces(frame, target)])
    found = []
    for part, others in (("validation", ["train"]), ("test", ["train", "validation"])):
        known = np.concatenate([keys[parts[other]] for other in others])
        count = int(np.isin(keys[parts[part]], known).sum())
        if count:
            share = count / len(parts[part])
            message = (
                f"{count} {part} rows ({share:.1%}) equal a {' or '.join(others)} row in every used column and the "
                "target: scores on them flatter; remove repeated rows, or use split.group"
            )
            severity = "warning" if share >= DUPLICATES_WARNED else "info"
            found.append(_finding(f"duplicates_{part}", severity, [], message, count))
    return found


def _pieces(frame: pd.DataFrame, target: NDArray[Any]) -> Iterator[tuple[pd.DataFrame, NDArray[Any]]]:
    """Yield so many rows at a time: encoded as a whole, a large table would be in memory a second time."""
    for start in range(0, len(frame), PIECE):
        yield frame.iloc[start : start + PIECE], target[start : start + PIECE]


def _keys(frame: pd.DataFrame, target: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Return a hash of each row's used columns and target."""
    numeric, categorical = schema.apply(frame)
    table = pd.concat([numeric, categorical, pd.Series(target, index=frame.index, name="\0target")], axis=1)
    if schema.image is not None:
        table["\0image"] = images.digests(frame[schema.image.name].tolist())
    return pd.util.hash_pandas_object(table, index=False).to_numpy()


def _classes(target: NDArray[Any], parts: Mapping[str, NDArray[np.int64]], problem: Problem) -> list[Finding]:
    found = []
    for code, label in enumerate(problem.classes or ()):
        counts = {part: int((target[rows] == code).sum()) for part, rows in parts.items()}
        absent = [part for part, count in counts.items() if count == 0]
        if absent:
            message = f"class {label!r} has no {' and no '.join(absent)} rows: it is not learnt, or not measured, there"
            found.append(_finding("absent_class", "warning", [problem.target], message, counts["train"]))
        elif counts["train"] < RARE_ROWS:
            message = (
                f"class {label!r} is rare: {counts['train']} training rows, {counts['validation']} validation rows"
            )
            found.append(_finding("rare_class", "warning", [problem.target], message, counts["train"]))
    return found


def _ids(train: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Return columns of whole numbers, or levels, that never repeat: they name rows and do not describe them."""
    found = []
    for column in schema.columns:
        if column.kind == "dropped" and column.reason.startswith("text with"):
            message = f"{column.name!r} was left out: {column.reason}; data.kinds can keep it"
            found.append(_finding("id", "info", [column.name], message, 1))
        elif column.kind == "numeric" and _looks_like_id(column.name, np.asarray(cells.numbers(train[column.name]))):
            message = f"{column.name!r} looks like an id: whole numbers that never repeat; list it in data.drop"
            found.append(_finding("id", "warning", [column.name], message, 1))
    return found


def _looks_like_id(name: str, values: NDArray[np.float64]) -> bool:
    if np.isnan(values).any() or (values != np.round(values)).any() or len(np.unique(values)) < len(values):
        return False
    in_order = bool((np.diff(values) > 0).all())
    # a running number: the values fill their range about as densely as training rows fill the table
    dense = float(values.max() - values.min()) < 3 * len(values)
    return in_order or dense or ID_NAME.search(name) is not None


def _columns(train: pd.DataFrame, schema: Schema) -> list[Finding]:
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
            found.append(_finding(kind, "info", names, f"{describe(names)} left out: values {what}", len(names)))
    for column in schema.columns:
        if column.kind in ("dropped", "image"):
            continue
        if column.reason.startswith("text of numbers"):
            blank = int(cells.numbers(train[column.name]).isna().sum())
            message = f"{column.name!r} is {column.reason}; {blank} blank or missing in the training rows"
            found.append(_finding("text_of_numbers", "info", [column.name], message, blank))
        missing = float(cells.missing(train[column.name]).mean())
        if missing > MOSTLY_MISSING:
            message = f"{column.name!r} is missing in {missing:.0%} of the training rows"
            found.append(_finding("mostly_missing", "info", [column.name], message, round(missing * len(train))))
    return found


def _order(target: NDArray[Any], problem: Problem, method: str) -> list[Finding]:
    """Return a finding if the table's rows are sorted by target."""
    if len(target) < 20:
        return []
    if problem.task == "regression":
        ranks = pd.Series(target).rank().to_numpy()
        is_sorted = abs(float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])) > 0.95
    else:
        shares = np.bincount(target) / len(target)
        changes = int((np.diff(target) != 0).sum())
        is_sorted = changes < 0.1 * (1 - float((shares**2).sum())) * (len(target) - 1)
    if not is_sorted:
        return []
    severity = "warning" if method == "time" else "info"
    message = (
        f"the table's rows are sorted by {problem.target!r}: a column that follows the row order would give it away"
    )
    return [_finding("sorted_by_target", severity, [problem.target], message, len(target))]
