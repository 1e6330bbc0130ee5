"""A table with the traps of bike rentals goes through the whole pipeline, and its report names each trap."""

import html
import json

import pytest

from flows.tune import tune
from tests.trap_tables import TRAPS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.usefixtures("prefect_api"),  # in this process: it is the data that matters here
]
SMALLER = {
    "data.source": "data/raw/table.csv",
    "train.epochs": 3,
    "baseline.networks": 1,
    "budget.epochs": 24,
    "search.random.epochs": 1,
    "search.bayes.epochs": 1,
    "search.hyperband.min_epochs": 1,
    "search.replay.finalists": 1,
    "search.replay.seeds": 1,
    "search.space": {"n_layers": 1, "units_1": 16, "batch_size": 64},
    "retrain.seeds": 1,
}


def test_each_trap_is_in_the_report_of_a_whole_run(make_project):
    trap = TRAPS["bike"]
    project = make_project({**SMALLER, "data.target": trap.target}, trap.make(), name="bike")
    state = tune(root=str(project.root), quiet=True, return_state=True)
    assert str(state.message).endswith("report run"), state
    audit = json.loads((project.root / "data/split/audit.json").read_text())
    assert set(trap.findings) <= {(one["kind"], one["severity"], tuple(one["columns"])) for one in audit["findings"]}
    page = html.unescape((project.root / "artifacts/report/report.html").read_text())
    assert [remedy for remedy in trap.remedies if remedy not in page] == []
