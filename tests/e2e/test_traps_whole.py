"""Tables with the traps of well-known ones go through every stage, and each report names each trap."""

import html
import json

import pytest

from tasks import pipeline, run
from tasks.reporting import NullReporter
from tasks.tracking.entry import NullTracker
from tests.inline import Here
from tests.trap_tables import TRAPS

pytestmark = pytest.mark.e2e
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
    "tracking.uri": "none",
}


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_is_in_the_report_of_a_whole_run(name, make_project):
    trap = TRAPS[name]
    project = make_project({**SMALLER, "data.target": trap.target}, trap.make(), name=name)
    for stage in pipeline.specs(project.root):  # in this process: it is the data that matters here
        run.run_stage(project.root, stage, reporter=NullReporter(), tracker=NullTracker(), executor=Here())
    audit = json.loads((project.root / "data/split/audit.json").read_text())
    assert set(trap.findings) <= {(one["kind"], one["severity"], tuple(one["columns"])) for one in audit["findings"]}
    page = html.unescape((project.root / "artifacts/report/report.html").read_text())
    assert [remedy for remedy in trap.remedies if remedy not in page] == []
