"""The examples in docs/own-models.md work as they stand there."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from tasks import pipeline
from tests.e2e.conftest import Project

pytestmark = pytest.mark.e2e
GUIDE = Path(__file__).parents[2] / "docs" / "own-models.md"


def written(project: Project, name: str) -> None:
    """Write an example into a project, under the name in its first line."""
    examples = re.findall(r"```python\n# (custom/\w+\.py)\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (project.root / name).write_text(dict(examples)[name])


@pytest.fixture(scope="module")
def finished(make_project) -> tuple[Project, Project]:
    """A network of one's own and a training of one's own, finished side by side."""
    network = make_project({"model.family": "custom.wide:make", "search.space": {"dropout": 0.2}}, name="network")
    training = make_project({"model.family": "custom.linear:Linear", "budget.epochs": 60}, name="training")
    written(network, "custom/wide.py")
    written(training, "custom/linear.py")
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(project.stages) for project in (network, training)]:
            done.result()
    network.dvc("commit", "-q", "-f")
    return network, training


def test_a_network_of_ones_own_goes_through_the_pipeline_and_an_edit_is_noticed(finished):
    project, _ = finished
    rows = pd.read_parquet(project.root / "artifacts/search_random/trials.parquet")
    configs = [json.loads(config) for config in rows["config"]]
    assert {config["dropout"] for config in configs} == {0.2}
    assert len({config["width"] for config in configs}) > 5
    with (project.root / "custom" / "wide.py").open("a") as file:
        file.write("# edited\n")
    # All that trains or uses it; the report only reads what became of it.
    stale = set(json.loads(project.dvc("status", "--json")))
    assert stale == set(pipeline.specs(project.root)) - {"ingest", "split", "report"}


def test_a_training_of_ones_own_goes_through_the_pipeline_to_a_model_that_predicts(finished):
    _, project = finished
    rows = pd.read_parquet(project.root / "artifacts/search_bayes/trials.parquet")
    assert set(rows["state"]) == {"complete"}
    assert {frozenset(json.loads(config)) for config in rows["config"]} == {frozenset({"alpha", "l1_ratio"})}
    tuned = json.loads((project.root / "artifacts/evaluate/evaluation.json").read_text())["tuned"]
    assert tuned["accuracy"] > 0.9
    project.run("python", "-m", "flows.predict", "data/raw/ingested/table.csv", "--model", "models:/hone@champion")
    table = pd.read_csv(project.root / "data/raw/ingested/table.csv")
    predicted = pd.read_csv(project.root / "table.predictions.csv")
    assert (predicted["prediction"] == table["target"]).mean() > 0.9
