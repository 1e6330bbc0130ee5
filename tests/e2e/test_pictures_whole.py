"""Pictures go through the whole pipeline, from files to report, and with workers or without to the same bytes."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows.predict import predict
from tasks import model_store, pipeline, run
from tasks.reporting import NullReporter
from tasks.tracking.entry import NullTracker
from tests.inline import Here

pytestmark = pytest.mark.e2e
N = 60
SMALLER = {
    "data.source": "data/raw/pictures.zip",
    "data.images": {"size": 16, "channels": "auto", "corrupt": 0.05},
    "model.family": "cnn",
    "train.epochs": 6,
    "baseline.networks": 1,
    "budget.epochs": 40,
    "search.replay.finalists": 1,
    "retrain.seeds": 1,
    "search.space": {"width": 8, "n_stages": 3, "batch_size": 16},
    "execution.workers": 2,
}


def picture(label: str, number: int) -> bytes:
    """A bright upper or lower half, in colours, sizes and formats that have nothing to do with the class."""
    random = np.random.default_rng([number, label == "upper"])
    height, width = random.integers(12, 30, 2)
    pixels = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
    half = slice(0, height // 2) if label == "upper" else slice(height // 2, height)
    pixels[half] += 120
    image = Image.fromarray(pixels).convert(["RGB", "L", "P", "RGBA"][number % 4])
    file = io.BytesIO()
    image.save(file, "PNG" if number % 4 else "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def project(make_project):
    project = make_project(SMALLER, name="pictures")
    raw = project.root / "data" / "raw" / "pictures.zip"
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("all/LICENSE.txt", "do as you like")
        archive.writestr("all/upper/broken.jpg", picture("upper", 0)[:100])
        for number in range(N):
            label = "upper" if number % 2 else "lower"
            archive.writestr(f"all/{label}/{number:02}.{'png' if number % 4 else 'jpg'}", picture(label, number))
    project.dvc("add", "-q", "data/raw/pictures.zip")
    return project


def test_pictures_go_through_the_whole_pipeline_and_a_corrupt_one_is_survived(project, tmp_path):
    other = project.copy(tmp_path / "other")
    for stage in pipeline.specs(project.root):  # in this process: it is the data that matters here
        run.run_stage(project.root, stage, reporter=NullReporter(), tracker=NullTracker(), executor=Here())

    audit = json.loads((project.root / "data/split/audit.json").read_text())
    assert sum(audit["rows"].values()) == N
    (corrupt,) = [one for one in audit["findings"] if one["kind"] == "corrupt_picture"]
    assert corrupt["severity"] == "warning"
    assert "all/upper/broken.jpg" in corrupt["message"]
    assert "all/upper/broken.jpg" in (project.root / "artifacts/report/report.html").read_text()
    scores = json.loads((project.root / "artifacts/evaluate/evaluation.json").read_text())
    assert scores["tuned"]["accuracy"] > 0.8
    baseline = json.loads((project.root / "artifacts/baseline/metrics.json").read_text())
    assert baseline["linear"]["accuracy"] > baseline["dummy"]["accuracy"]

    # The model takes files as they come, and gives the same bits for what the split kept of them.
    predictor = model_store.load(project.root / "artifacts/retrain/model")
    kept = pd.concat(pd.read_parquet(project.root / f"data/split/{part}.parquet") for part in ("train", "validation"))
    files = pd.DataFrame({"image": [picture("upper" if i % 2 else "lower", i) for i in range(N)]})
    of_files = {tuple(row) for row in predictor.proba(files).tolist()}
    assert {tuple(row) for row in predictor.proba(kept).tolist()} <= of_files

    out = predict(project.root, project.root / "data/raw/pictures.zip", tmp_path / "out.csv", None, [], NullReporter())
    table = pd.read_csv(out)
    assert len(table) == N
    right = table["path"].str.contains("upper") == (table["prediction"] == "upper")
    assert right.mean() > 0.8

    # In workers, as far as networks have been trained.
    other.stages("ingest", "split", "budget", "baseline")
    outs = [out for name in ("ingest", "split", "baseline") for out in pipeline.specs(other.root)[name].outs]
    assert {out: pipeline.hash_path(other.root / out) for out in outs} == {
        out: pipeline.hash_path(project.root / out) for out in outs
    }
