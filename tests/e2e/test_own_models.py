"""The example in docs/own-models.md works as it stands there."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tasks import pipeline

pytestmark = pytest.mark.e2e
GUIDE = Path(__file__).parents[2] / "docs" / "own-models.md"


def test_a_network_of_ones_own_goes_through_the_pipeline_and_an_edit_is_noticed(make_project):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    project = make_project(name="own")
    (project.root / "custom" / "wide.py").write_text(code)
    project.change({"model.family": "custom.wide:make", "search.space": {"dropout": 0.2}})
    project.flow()
    rows = pd.read_parquet(project.root / "artifacts/search_random/trials.parquet")
    configs = [json.loads(config) for config in rows["config"]]
    assert {config["dropout"] for config in configs} == {0.2}
    assert len({config["width"] for config in configs}) > 5
    with (project.root / "custom" / "wide.py").open("a") as file:
        file.write("# edited\n")
    # All that trains or uses it; the stages below the first of them will see what became of it.
    stale = set(json.loads(project.dvc("status", "--json")))
    assert stale == set(pipeline.specs(project.root)) - {"ingest", "split"}
