"""Looks at params and data, and at nothing else: what a run would refuse, before anything runs."""

import sys
from pathlib import Path

from tasks import pictures, split, versioning
from tasks.params import load_params
from tasks.reporting import Reporter


def check(root: Path, reporter: Reporter) -> None:
    """Report what Hone makes of the project's params and table; write nothing but a copy of decoded pictures.

    Raises UserError for the first thing that a run would refuse.
    """
    from flows.serve import check_schedule

    params = load_params(root)
    check_schedule(params.schedule)
    checked = split.check(root, params)
    problem = checked.problem
    reporter.message(f"{params.data.source}: {problem.task} of {problem.target!r}, by {problem.metric}")
    reporter.table("", *split.summary(checked))
    kinds: dict[str, list[str]] = {}
    for column in checked.schema.columns:
        kinds.setdefault(column.kind, []).append(column.reason if column.kind == "image" else column.name)
    for kind, names in kinds.items():
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        reporter.message(f"{kind}: {shown}")
    if checked.left_out is not None and (corrupt := checked.left_out.corrupt):
        total = len(checked.frame) + len(corrupt)
        reporter.warning(f"{pictures.corrupt_sentence(corrupt, total)}; set aside, as data.images.corrupt allows")
    reporter.message("\nparams and data are fine; `hone plan` says what a run would cost")


def refuse_bad_input(root: Path) -> None:
    """Raise UserError for params, or for a table not yet split, that a run cannot work with."""
    params = load_params(root)
    if versioning.stale(root, "ingest") or versioning.stale(root, "split"):
        split.check(root, params)


if __name__ == "__main__":
    from flows import cli

    sys.exit(cli.main(["check", *sys.argv[1:]]))
