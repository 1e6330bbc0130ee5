"""Looks at params and data, and at nothing else: what a run would refuse, before anything runs."""

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hone import models
from tasks import pipeline, split, versioning, wording
from tasks.params import Params, load_params, search_space
from tasks.reporting import Reporter
from tasks.split import Checked

if TYPE_CHECKING:
    from hone.training.train import TrainingData

# What needs torch is imported where it is used: most tables and params are looked at without it.


def check(root: Path, reporter: Reporter) -> None:
    """Report what Hone makes of the project's params and table; write nothing but a copy of decoded pictures.

    A training of one's own is tried on a few rows.

    Raises UserError for the first thing that a run would refuse.
    """
    from flows.serve import check_schedule

    params = load_params(root)
    check_schedule(params.schedule)
    checked = split.check(root, params)
    problem = checked.problem
    positive = ""
    if problem.classes is not None and problem.positive_index is not None:
        positive = f"; positive class {str(problem.classes[problem.positive_index])!r} (data.positive)"
    reporter.message(f"{params.data.source}: {problem.task} of {problem.target!r}, by {problem.metric}{positive}")
    reporter.table("", *split.summary(checked))
    kinds: dict[str, list[str]] = {}
    for column in checked.schema.columns:
        kinds.setdefault(column.kind, []).append(column.reason if column.kind == "image" else column.name)
    split.tell_remarks(checked, reporter)
    for kind, names in kinds.items():
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        reporter.message(f"{kind}: {shown}")
    _try_out(params, checked)
    _say_start(root, params, checked, reporter)
    report = split.audited(checked, params)
    reporter.message("")
    split.tell(report, reporter)
    noted = report | {"findings": [*checked.remarks, *report["findings"]]}
    shown = [*checked.remarks, *report["findings"][: split.MOST_TOLD]]
    reporter.message(wording.audited(noted, "above", "before `hone tune`", shown))
    reporter.message("`hone plan` says what a run would cost")


def _try_out(params: Params, checked: Checked) -> None:
    """Raise UserError if the family brings its own training, and that does not work on a few rows of the table."""
    family = params.model.family
    if models.is_trainable(family):
        from hone.training import own

        data = encoded(checked, params)
        config = models.fitted(search_space(params), data.inputs, len(data.train), stated=params.search.space).default
        own.try_out(family, config, data.inputs, data.train, params.train.epochs)


def _say_start(root: Path, params: Params, checked: Checked, reporter: Reporter) -> None:
    """Report what networks take over of the weights that params name, if any; UserError if nothing fits."""
    if params.model.start_from is None:
        return
    from tasks import start_from

    if (former := start_from.former(root, params.model.start_from)) is None:
        return
    data = encoded(checked, params)
    config = models.fitted(
        search_space(params, former), data.inputs, len(data.train), stated=params.search.space
    ).default
    columns = checked.schema.used
    said, doubt = start_from.look(former, str(params.model.start_from), params.model.family, config, data, columns)
    reporter.message(said)
    if doubt is not None:
        reporter.warning(doubt)
    split = checked.split
    judging = {
        name: checked.frame.iloc[rows] for name, rows in (("test", split.test), ("validation", split.validation))
    }
    if found := start_from.overlap(start_from.seen(root, params.model.start_from), judging):
        (reporter.warning if found[0] else reporter.message)(found[1])


def encoded(checked: Checked, params: Params) -> "TrainingData":
    """Return the training and validation rows of a checked table, as a stage would read them."""
    from tasks import trainables

    parts = (checked.frame.iloc[rows] for rows in (checked.split.train, checked.split.validation))
    return trainables.encoded(*parts, checked.schema, checked.problem, params.data.scaling)


def refuse(root: Path) -> None:
    """Raise UserError for params and data that a run would refuse."""
    split.check(root, load_params(root))


def refuse_bad_input(root: Path) -> None:
    """Raise UserError for params, or for a table not yet split, that a run cannot work with."""
    params = load_params(root)
    if versioning.stale(root, "ingest") or versioning.stale(root, "split"):
        content = pipeline.hash_json(params.model_dump(mode="json"))
        _looked_at(root, content, pipeline.data_hash(root, params.data.source))


@lru_cache(maxsize=1)  # `hone tune` looks while its server starts, and its flow once more
def _looked_at(root: Path, content: str, data: str) -> None:
    split.check(root, load_params(root))


if __name__ == "__main__":
    from flows import cli

    cli.run(["check", *sys.argv[1:]])
