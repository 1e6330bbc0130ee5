"""How MLflow's pages show runs: saved views, and the addresses that open them.

A saved view is what MLflow's own "Share view" makes: a tag of the experiment that names filter, order, columns and
charts. A page that is given its key shows them.
"""

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from hone.trial import Config
from tasks.tracking.uri import SERVERS

PLACE = ".work/mlflow.json"
"""Says where the project's pipelines are in MLflow; see `note`."""
NOTED = 100
"""Pipelines that it names, those logged last."""
SHARED = "mlflow.sharedViewState."
PIPELINES = "pipelines"
WORKFLOW = "workflowType=machine_learning"
"""Without it MLflow's pages are those for language models, until a person has switched."""
LOSS = "train_loss"
"""The curve of a trial's training loss."""
NAME = ("tags.`mlflow.runName`", 250)
"""The column of runs' names, and its width in pixels: a replay's name is long."""
COMPRESSED = "deflate;"
LONGEST = 5000
"""Characters that MLflow takes as a tag of an experiment."""
SHOWN = 40
"""Hyperparameters that a view shows; a network has fewer, and more would not fit into a tag."""


def trials_key(pipeline: str) -> str:
    """Return the key of the view that shows a pipeline's trials."""
    return pipeline[:8]


def best(metric: str) -> str:
    """Return the name of a trial's best value of the metric, and of a pipeline's best so far."""
    return f"best_{metric}"


def trials_view(pipeline: str, metric: str, configs: Sequence[Config], *, lower_is_better: bool) -> str:
    """Return a view of a pipeline's trials: a leaderboard, and as charts parallel coordinates and curves.

    configs: of the trials. All their hyperparameters are columns of the leaderboard. Parallel coordinates have those
    that every config has: MLflow leaves out lines that lack one.
    """
    names = [*dict.fromkeys(name for config in configs for name in config)][:SHOWN]
    common = [name for name in names if all(name in config for config in configs)]
    value = best(metric)
    return _packed(
        filter=f"tags.`hone.pipeline` = '{pipeline}' AND tags.`hone.kind` = 'trial'",
        order=_column("metrics", value),
        ascending=lower_is_better,
        columns=[
            _column("metrics", value),
            *(_column("params", name) for name in names),
            _column("tags", "hone.origin"),
            _column("tags", "hone.resource"),
        ],
        charts=[
            {"type": "PARALLEL", "selectedParams": common, "selectedMetrics": [value], "showAllRuns": True},
            {"type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric]},
            {"type": "LINE", "metricKey": LOSS, "selectedMetricKeys": [LOSS]},
        ],
    )


def pipelines_view() -> str:
    """Return a view of all pipelines, the newest first, with what the sealed rows say of each."""
    scores = ("test", "test_low", "test_high", "gain", "gain_low", "gain_high", "validation")
    return _packed(
        filter="tags.`hone.kind` = 'pipeline'",
        order="attributes.start_time",
        ascending=False,
        columns=[
            *(_column("metrics", name) for name in scores),
            _column("tags", "hone.metric"),
        ],
        charts=[{"type": "BAR", "metricKey": name} for name in ("test", "gain")],
    )


def note(root: Path, experiment: str, run: str, pipeline: str) -> None:
    """Write where a pipeline is in MLflow: `links` reads it, without asking the store.

    The latest pipelines are kept: one whose stages are restored from a cache logs nothing, and is not noted again.
    """
    from tasks import files

    runs = {name: noted for name, noted in _noted(root).items() if name != pipeline}
    runs[pipeline] = {"experiment": experiment, "run": run}
    latest = dict([*runs.items()][-NOTED:])
    files.write_text(root / PLACE, json.dumps({"pipelines": latest}, indent=2) + "\n")  # its order tells which are last


def lines(root: Path, store: str, model: str, pipeline: str | None, port: int = 5000) -> list[str]:
    """Return the links as lines of text, with their addresses below each other."""
    found = links(root, store, model, pipeline, port)
    width = max(len(name) for name, _ in found)
    return [f"  {name:{width}}  {address}" for name, address in found]


def links(root: Path, store: str, model: str, pipeline: str | None, port: int = 5000) -> list[tuple[str, str]]:
    """Return what MLflow's pages show of the project, and their addresses.

    store: the URI that `uri.resolve` returned; pages of one that is no server are those of `hone ui` at `port`.
    model: the registered one's name. pipeline: the key of the one to show; of one that is not noted, or None, there
    are no links. Without any pipeline in MLflow there is the list of experiments alone.
    """
    base = f"{_without_user(store) if store.startswith(SERVERS) else f'http://127.0.0.1:{port}'}/#"
    noted = _noted(root)
    if not noted:
        return [("experiments", f"{base}/experiments?{WORKFLOW}")]
    place = noted.get(pipeline or "", [*noted.values()][-1])
    runs = f"{base}/experiments/{place['experiment']}/runs"
    found = [("pipelines", f"{runs}?viewStateShareKey={PIPELINES}&{WORKFLOW}")]
    if pipeline in noted:
        trials = f"{runs}?viewStateShareKey={trials_key(pipeline)}&{WORKFLOW}"
        found += [
            ("this pipeline", f"{runs}/{place['run']}?{WORKFLOW}"),
            ("its trials", trials),
            ("as charts", f"{trials}&compareRunsMode=CHART"),
        ]
    return [*found, ("models", f"{base}/models/{model}?{WORKFLOW}")]


def _without_user(address: str) -> str:
    """Return an address without user and password: a browser asks for them, and a link with them is no secret."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _noted(root: Path) -> dict[str, dict[str, str]]:
    """Return experiment and run by pipeline, the last logged last; none of a file that is not as `note` writes it."""
    try:
        noted = json.loads((root / PLACE).read_text(encoding="utf-8"))["pipelines"]
        return {key: {name: str(place[name]) for name in ("experiment", "run")} for key, place in noted.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _packed(*, filter: str, order: str, ascending: bool, columns: Sequence[str], charts: Sequence[Any]) -> str:
    """Return a view as MLflow's pages read it: JSON, compressed."""
    section = "charts"
    view = {
        "searchFilter": filter,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
        "columnWidths": dict([NAME]),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [
            {"uuid": f"chart-{i}", "metricSectionId": section, "deleted": False, "isGenerated": False, **chart}
            for i, chart in enumerate(charts)
        ],
        "compareRunSections": [
            {"uuid": section, "name": "Hone", "display": True, "isReordered": False, "columns": 1, "cardHeight": 400}
        ],
    }
    content = zlib.compress(json.dumps(view).encode(), 9)
    return COMPRESSED + base64.b64encode(content).decode()
