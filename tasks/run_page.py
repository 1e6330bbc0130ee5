"""What the page of a pipeline's run in MLflow shows beside its params: scores, a description, the rows, who ran it."""

import getpass
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hone import metrics
from hone.errors import printable
from tasks import files, markdown, pipeline, project, record, scoreboard, wording
from tasks.params import Params
from tasks.provenance import git
from tasks.tracking import Dataset
from tasks.tracking.entry import Context, Point

SPLIT = "data/split"
ROWS: tuple[tuple[Context, str], ...] = (
    ("training", "train.parquet"),
    ("validation", "validation.parquet"),
    ("test", "sealed/test.parquet"),
)
SCORES, EVALUATION = "artifacts/evaluate/metrics.json", "artifacts/evaluate/evaluation.json"
WINNER, REPORT = "artifacts/search_hyperband/winner.json", "artifacts/report/report.html"
EVALUATED = ("evaluate", "report")
"""Stages after which the scores are there. A stage that is restored from a cache logs nothing, so both log them."""
TABLE = "split"
"""The stage that makes the rows."""
NOTE, METRIC = "mlflow.note.content", "hone.metric"
LONGEST_CELL = 60


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a pipeline's run shows once a stage has ended; the fields are those of `Entry`. scores: its metrics."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    scores: tuple[Point, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    files: tuple[str, ...] = ()


def after(root: Path, name: str, params: Params, data_hash: str) -> Page:
    """Return what the run shows once a stage has ended. data_hash: of the raw table."""
    # A reproduction must not measure a time limit anew.
    kept = [record.BUDGET_LOCK] if params.budget.time_limit and (root / record.BUDGET_LOCK).is_file() else []
    facts = record.outs(root, name)
    if name not in EVALUATED or not (root / EVALUATION).is_file():
        return Page(facts=facts, files=tuple(kept), datasets=datasets(root, params, data_hash) if name == TABLE else ())
    return Page(
        facts=facts,
        tags=description(root, params),
        scores=scores(root),
        datasets=datasets(root, params, data_hash),
        files=(*kept, *([REPORT] if name == "report" else [])),
    )


def who(root: Path) -> dict[str, str]:
    """Return tags that say who runs the pipeline and by which command; MLflow has columns for them."""
    user = git(root, "config", "user.name") or ""
    if not user:
        with suppress(Exception):  # no name in the environment, and no account: nobody is named
            user = getpass.getuser()
    source = {"mlflow.source.name": _command(), "mlflow.source.type": "LOCAL"}
    return {**source, **({"mlflow.user": printable(user)} if user else {})}


def _command() -> str:
    """Return the command that this process works for."""
    if "DVC_STAGE" in os.environ:  # set by DVC for what it starts
        return "dvc repro"
    if project.SERVED_BY in os.environ:
        return "hone serve"
    return "python -m tasks.run" if Path(sys.argv[0]).parts[-2:] == ("tasks", "run.py") else "hone tune"


def datasets(root: Path, params: Params, data_hash: str) -> tuple[Dataset, ...]:
    """Return the three parts of the table, as far as they are there. data_hash: of the raw table."""
    raw = params.data.source
    found = []
    for context, name in ROWS:
        path = root / SPLIT / name
        if path.is_file():
            about = pq.read_metadata(path)
            found.append(
                Dataset(
                    name=f"{Path(raw).name}, {context}",
                    digest=pipeline.hash_path(path),
                    context=context,
                    source={"uri": raw, "sha256": data_hash, "rows": f"{SPLIT}/{name}"},
                    n_rows=about.num_rows,
                    n_columns=about.num_columns,
                )
            )
    return tuple(found)


def scores(root: Path) -> tuple[Point, ...]:
    """Return the numbers of metrics.json by their names there, e.g. "test_low" and "rivals.linear"."""
    return tuple((name, value, 0) for name, value in numbers(files.read_json(root / SCORES)))


def numbers(content: Mapping[str, object], prefix: str = "") -> list[tuple[str, float]]:
    """Return the numbers of a JSON object, those of objects in it with a dot in their names."""
    found: list[tuple[str, float]] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            found += numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and math.isfinite(value):
            found.append((prefix + key, float(value)))
    return found


def description(root: Path, params: Params) -> dict[str, str]:
    """Return tags for the run of a pipeline that has been evaluated: its metric, and a description in Markdown."""
    found, winner = files.read_json(root / EVALUATION), files.read_json(root / WINNER)
    metric = winner["metric"]
    said = [str(finding["message"]) for finding in found["findings"]]
    parts = [f"**{markdown.text(said[0])}**" if said else "", _networks(metric, found), _others(metric, found)]
    parts += ["\n".join(f"- {markdown.text(each)}" for each in said[1:]), _config(winner)]
    parts.append(
        f"Data: {markdown.code(params.data.source)}. The report with pictures is `{REPORT}` under Artifacts; "
        "`provenance.json` there says what the run was made from. `hone reproduce` with this run's id does it again."
    )
    return {METRIC: metric, NOTE: "\n\n".join(part for part in parts if part)}


def _networks(metric: str, found: Mapping[str, Any]) -> str:
    """Return the table of the delivered model and the defaults on the sealed rows, the metric that counts first."""
    shown = [part for part in ("defaults", "tuned", "gain") if part in found]
    rows = [
        [wording.label(name), *(scoreboard.cell(found, part, name) for part in shown)]
        for name in metrics.in_order(metric, found["tuned"])
    ]
    columns = [wording.delivered(found) if part == "tuned" else part for part in shown]
    return _table([f"{found['n_rows']:,} sealed test rows", *columns], rows)


def _others(metric: str, found: Mapping[str, Any]) -> str:
    """Return the table of other models on the sealed rows, and the network's gain over each."""
    models = [name.removeprefix("gain_over_") for name in found if name.startswith("gain_over_")]
    rows = [
        [wording.model(name), scoreboard.cell(found, name, metric), scoreboard.cell(found, f"gain_over_{name}", metric)]
        for name in models
    ]
    return _table(["model", wording.label(metric), "network's gain"], rows)


def _config(winner: Mapping[str, Any]) -> str:
    """Return the table of the delivered config beside the default one."""
    config, default = winner["config"], winner["default"]["config"]
    names = [*config, *(name for name in default if name not in config)]
    rows = [
        [markdown.code_cell(name), *(_value(each.get(name, wording.DASH)) for each in (config, default))]
        for name in names
    ]
    return _table(["hyperparameter", "delivered", "default"], rows)


def _table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown; nothing if it has no rows."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _value(value: object) -> str:
    """Return a hyperparameter's value for a cell; a long one without spaces would widen the page."""
    shown = str(value)
    return markdown.text(f"{shown[:LONGEST_CELL]}…" if len(shown) > LONGEST_CELL and " " not in shown else shown)
