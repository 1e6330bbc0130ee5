"""A search in which trials hang is the search in which they fail at once, but for what it says of them."""

import pandas as pd
import pytest

from tests.e2e.test_every_family import QUICK, table

pytestmark = pytest.mark.e2e
NETWORK = """
import time

from torch import nn


class Wide(nn.Module):
    def __init__(self, inputs, config):
        super().__init__()
        if config["width"] > 48:
            {what}
        width = config["width"]
        self.layers = nn.Sequential(nn.Linear(inputs.n_num, width), nn.Linear(width, inputs.n_outputs))

    def forward(self, x_num, x_cat):
        return self.layers(x_num)


Wide.space = {{"width": {{"type": "int", "low": 8, "high": 64, "default": 16}}}}
"""


def test_a_search_goes_on_past_trials_that_hang(make_project):
    found = []
    for name, what in (("hangs", "time.sleep(600)"), ("fails", "raise RuntimeError('too wide')")):
        changes = {"model.family": "custom.own:Wide", "train.limits": {"time": "3s"}, "search.random.batch": 6}
        project = make_project({**QUICK, **changes}, table(), name=name)
        (project.root / "custom" / "own.py").write_text(NETWORK.format(what=what))
        project.stages("ingest", "split", "budget", "search_random", "search_bayes")
        trials = [
            pd.read_parquet(project.root / f"artifacts/search_{phase}/trials.parquet") for phase in ("random", "bayes")
        ]
        found.append(pd.concat(trials, ignore_index=True))
    hung, failed = found
    assert set(hung["state"]) == {"complete", "failed"}
    assert set(hung["error"].dropna()) == {"LimitError: took longer than 3 s, its limit (train.limits.time)"}
    pd.testing.assert_frame_equal(hung.drop(columns="error"), failed.drop(columns="error"))
