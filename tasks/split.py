"""Splits the raw table into training, validation and sealed test rows, and audits what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from hone.data import cells, images, schema, splitting
from hone.data import problem as problems
from hone.data.audit.report import audit
from hone.data.checks import FEWEST_ROWS, check_table
from hone.data.images import IMAGE, LABEL
from hone.data.problem import Problem
from hone.data.remarks import Remark
from hone.data.schema import Schema
from hone.data.splitting import SplitIndices
from hone.data.target_remarks import of_target
from hone.errors import UserError
from hone.seeds import derive
from tasks import files, ingest, pictures, sources, tables
from tasks.params import Params
from tasks.pictures import Pictures
from tasks.reporting import Reporter
from tasks.stage import Stage
from tasks.tables import words

FOLDER = ("data", "split")
SHOWN = 12
MOST_TOLD = 8


@dataclass(frozen=True)
class Checked:
    """A table that fits the params. frame: raw rows that have a target. folds: of train, then validation rows.

    left_out: of pictures, what cannot be learnt from. remarks: what a person should know of how the table was read,
    and of its target.
    """

    frame: pd.DataFrame
    problem: Problem
    split: SplitIndices
    schema: Schema
    folds: pd.DataFrame
    left_out: Pictures | None = None
    remarks: tuple[Remark, ...] = ()


def run(stage: Stage) -> None:
    """Write the parts of the table, its schema, problem, folds and audit; test rows go to sealed/ only."""
    checked = _ingested(stage)
    split, problem = checked.split, checked.problem
    # one conversion for all parts, so that a column that is empty in one of them keeps its type
    table = _storable(_kept(checked))
    files.write_parquet(stage.path(*FOLDER, "train.parquet"), table.take(split.train))
    files.write_parquet(stage.path(*FOLDER, "validation.parquet"), table.take(split.validation))
    files.write_parquet(stage.path(*FOLDER, "sealed", "test.parquet"), table.take(split.test))
    files.write_parquet(stage.path(*FOLDER, "sealed", "rows.parquet"), _row_numbers(checked.frame, split.test))
    files.write_parquet(stage.path(*FOLDER, "folds.parquet"), checked.folds)
    # Apart from the finalists' folds, so that a change of those does not undo a search that has none.
    files.write_parquet(stage.path(*FOLDER, "trial_folds.parquet"), trial_folds(checked, stage.params))
    files.write_json(stage.path(*FOLDER, "schema.json"), checked.schema.to_json())
    files.write_json(stage.path(*FOLDER, "problem.json"), problem.to_json())
    report = audited(checked, stage.params)
    noted = sorted([*checked.remarks, *report["findings"]], key=lambda one: one["severity"] != "warning")
    files.write_json(stage.path(*FOLDER, "audit.json"), report | {"findings": noted})
    title = f"{problem.task} of {problem.target!r} by {problem.metric}, split {split.method}"
    stage.reporter.table(title, *summary(checked))
    tell_remarks(checked, stage.reporter)
    tell(report, stage.reporter)


def tell_remarks(checked: Checked, reporter: Reporter) -> None:
    """Report how the table was read where that is not plain, and what is odd about its target, a line each."""
    for remark in checked.remarks:
        (reporter.warning if remark["severity"] == "warning" else reporter.message)(remark["message"])


def audited(checked: Checked, params: Params) -> dict[str, Any]:
    """Return the audit of a checked table and its split; see `hone.data.audit.report`."""
    left_out = checked.left_out
    return audit(
        checked.frame,
        checked.split,
        checked.problem,
        checked.schema,
        group=params.split.group,
        time=params.split.time,
        corrupt=left_out.corrupt if left_out is not None else (),
        passed_over=left_out.passed_over if left_out is not None else (),
        seed=params.seed,
    )


def tell(report: Mapping[str, Any], reporter: Reporter) -> None:
    """Report the findings of an audit that matter most, a line each."""
    findings = report["findings"]
    for finding in findings[:MOST_TOLD]:
        say = reporter.warning if finding["severity"] == "warning" else reporter.message
        say(finding["message"])
    if len(findings) > MOST_TOLD:
        reporter.message(f"{len(findings) - MOST_TOLD} more findings are in data/split/audit.json once a run has split")


def check(root: Path, params: Params) -> Checked:
    """Return what `run` would write, without writing anything; nothing need have run before.

    Raises UserError for every table and target that does not fit the params.
    """
    source = params.data.source
    if sources.is_sklearn(source):
        return check_frame(*tables.load_sklearn(source), params)
    place = sources.locate(root, source)
    if pictures.are_at(place):
        return check_pictures(root, source, place, params)
    return _check_table(place, source, None, params)


def _check_table(place: Path, shown: str, default_target: str | None, params: Params) -> Checked:
    """Return what `check_frame` does, of a file, with what there is to say of how it was read."""
    remarks: list[Remark] = []
    missing = words.WORDS if params.data.missing is None else params.data.missing
    frame = tables.read_table(place, shown, missing, remarks.append)
    checked = check_frame(frame, default_target, params)
    return replace(checked, remarks=(*remarks, *checked.remarks))


def check_pictures(root: Path, source: str, place: Path, params: Params) -> Checked:
    """Return what `check_frame` does, of pictures; UserError as there, and for what has no meaning for pictures."""
    data = params.data
    found = pictures.read(root, source, place, data.images.size, data.images.corrupt)
    if data.drop or data.kinds:
        raise UserError(f"data.{'drop' if data.drop else 'kinds'}: pictures have no columns; leave it empty")
    if data.target not in (None, LABEL):
        raise UserError(f"data.target: {data.target!r}, but a picture's target is its class; leave it empty")
    labels = found.frame[LABEL]
    if data.task == "auto" and labels.dtype.kind != "f":  # folders that are called 0 to 99 are classes all the same
        task: Literal["binary", "multiclass"] = "binary" if labels.nunique() == 2 else "multiclass"
        params = params.model_copy(update={"data": data.model_copy(update={"task": task})})
    return replace(check_frame(found.frame, LABEL, params, of_pictures=True), left_out=found)


def check_frame(
    frame: pd.DataFrame, default_target: str | None, params: Params, *, of_pictures: bool = False
) -> Checked:
    """Return a raw table's problem, split, schema and folds; UserError for whatever does not fit the params.

    default_target: the target where `data.target` is empty; None if there is no such default. of_pictures: whether it
    is a table of pictures and their classes.
    """
    data, asked = params.data, params.split
    check_table(frame, f"data.source: {data.source}", ignore=data.drop)
    target = data.target if data.target is not None else default_target
    if target is None:
        names = ", ".join(repr(str(column)) for column in frame.columns[:SHOWN]) + (
            ", …" if frame.shape[1] > SHOWN else ""
        )
        raise UserError(f"data.target: not set; name the column to predict, one of {names}")
    schema.check_column("data.target", target, frame.columns)
    problem = problems.infer(frame[target], task=data.task, metric=data.metric, positive=data.positive)
    has_target = ~cells.missing(frame[target])
    known = frame if has_target.all() else frame[has_target]
    if len(known) < FEWEST_ROWS:
        raise UserError(
            f"data.target: column {target!r} has a value in only {len(known)} rows; at least {FEWEST_ROWS} are needed"
        )
    scheme = asked.scheme
    split = splitting.split(
        known,
        problem,
        method=asked.method,
        group=asked.group,
        time=asked.time,
        gap=scheme.gap,
        validation=asked.validation,
        test=asked.test,
        seed=params.seed,
    )
    group = asked.group if split.method == "grouped" else None
    training = known.iloc[split.train]
    if of_pictures:
        columns = schema.of_pictures(training[IMAGE].tolist(), IMAGE, data.images.channels)
    else:
        columns = schema.infer(training, target, data.drop, data.kinds, group)
    folds = splitting.folds(
        known,
        split,
        problem,
        k=asked.folds,
        group=asked.group,
        time=asked.time,
        gap=scheme.gap,
        seed=params.seed,
    )
    _check_stopping(known, split, folds, problem, params)
    remarks = tuple(of_target(frame[target], problem))
    return Checked(known, problem, split, columns, folds, remarks=remarks)


def trial_folds(checked: Checked, params: Params) -> pd.DataFrame:
    """Return the folds that a trial of the search trains on: as `folds`, or the validation rows alone."""
    if params.split.objective == "folds":
        return checked.folds
    return splitting.folds(checked.frame, checked.split, checked.problem, k=0)


def summary(checked: Checked) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Return (columns, rows) of a table of how many rows, and of which classes, each part has."""
    parts = {"train": checked.split.train, "validation": checked.split.validation, "test (sealed)": checked.split.test}
    if sum(map(len, parts.values())) < len(checked.frame):
        used = np.concatenate(list(parts.values()))
        parts["in the gap"] = np.setdiff1d(np.arange(len(checked.frame)), used)
    labels = [str(label) for label in checked.problem.classes or ()]
    if not labels or len(labels) > SHOWN:
        return ("part", "rows"), [(part, str(len(rows))) for part, rows in parts.items()]
    codes: Any = problems.encode(checked.problem, checked.frame[checked.problem.target])
    counts = {part: np.bincount(codes[rows], minlength=len(labels)) for part, rows in parts.items()}
    return ("part", "rows", *labels), [(part, str(len(rows)), *map(str, counts[part])) for part, rows in parts.items()]


def _check_stopping(
    frame: pd.DataFrame, split: SplitIndices, folds: pd.DataFrame, problem: Problem, params: Params
) -> None:
    """Raise UserError if the rows that stop a training cannot be taken out of its training rows, of each fold too."""
    if params.train.stopping != "apart":
        return
    scheme, share = params.split.scheme, params.train.stopping_rows
    seed = derive(params.seed, "stopping")  # see `trainables.stopping`
    training = frame.iloc[split.train]
    splitting.hold_out(training, problem, scheme, share=share, seed=seed, key="train.stopping: apart")
    rows = frame.iloc[np.concatenate([split.train, split.validation])]
    for fold in range(params.split.folds):
        training = rows.iloc[splitting.fold_rows(folds, fold)[0]]
        key = f"train.stopping: apart, fold {fold} of split.folds: {params.split.folds}"
        try:
            splitting.hold_out(training, problem, scheme, share=share, seed=seed, key=key)
        except UserError as error:
            raise UserError(f"{error}, or fewer folds") from None


def _kept(checked: Checked) -> pd.DataFrame:
    """Return the rows as they are written: pictures as networks see them."""
    column = checked.schema.image
    if column is None or column.shape is None:
        return checked.frame
    return checked.frame.assign(**{column.name: images.kept(checked.frame[column.name], column.shape)})


def _row_numbers(frame: pd.DataFrame, positions: NDArray[np.int64]) -> pd.DataFrame:
    """Return the numbers, from 1, of rows in the raw table, as far as the frame's index still tells them."""
    index = frame.index if frame.index.dtype.kind in "iu" else pd.RangeIndex(len(frame))
    return pd.DataFrame({"row": index[positions] + 1})


def _storable(frame: pd.DataFrame) -> pa.Table:
    """Return a table to write; cells that have no type in common there, such as mappings, become text."""
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except pa.ArrowException:
        text = {name: cells.texts(frame[name]) for name in frame.columns if cells.is_nested(frame[name])}
        return pa.Table.from_pandas(frame.assign(**text), preserve_index=False)


def _ingested(stage: Stage) -> Checked:
    """Return what to make of the raw table or the pictures that `ingest` points to."""
    source = files.read_json(stage.path(*ingest.FOLDER, "source.json"))
    place = stage.path(source["table"])
    if pictures.are_at(place):
        return check_pictures(stage.root, source["table"], place, stage.params)
    return _check_table(place, source["table"], source["target"], stage.params)
