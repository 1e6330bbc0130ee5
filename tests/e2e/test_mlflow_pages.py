"""MLflow's pages, as a person sees them who follows the links that `hone ui` prints.

With HONE_SCREENSHOTS=docs/images in the environment, the pictures of docs/tracking.md are made on the way.
"""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from tasks import trials

pytestmark = pytest.mark.e2e
LINK = re.compile(r"^  (\S.*?) {2,}(http://\S+)$", re.MULTILINE)
ROWS = ".ag-center-cols-container [role=row]"
SHOTS = os.environ.get("HONE_SCREENSHOTS")


@pytest.fixture(scope="module")
def links(by_flow, browser):
    """Start `hone ui`, and return the addresses that it prints by what they show."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = by_flow.root / ".work" / "ui.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "flows.ui", "--port", str(port)]
        served = subprocess.Popen(
            command, cwd=by_flow.root, env=dict(by_flow.environment), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 180
            while not answers(f"http://127.0.0.1:{port}/health"):
                assert served.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
            yield dict(LINK.findall(log.read_text()))
        finally:
            served.send_signal(signal.SIGINT)
            served.wait()
    # Ctrl-C is how it ends, and MLflow's own lines are in its log.
    assert served.returncode == 0
    assert not re.search(r"Traceback|Security|ERROR", log.read_text()), log.read_text()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def shown(open_page, links):
    """Return a function that opens a link by its name, and waits for a text on its page."""

    def show(name, text):
        page = open_page(links[name], 1440, 900)
        page.get_by_text(text).first.wait_for()
        page.locator("[data-component-id='mlflow.assistant.chat_panel.close']").click()
        return page

    return show


def picture(page, name):
    if SHOTS:
        page.wait_for_timeout(1500)  # until what moves stands still
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shot.quantize(64).save(Path(SHOTS) / f"{name}.png", optimize=True)  # a quarter of the bytes


def test_a_pipelines_page_shows_the_verdict_the_table_the_rows_and_the_report(by_flow, shown):
    found = json.loads((by_flow.root / "artifacts/evaluate/evaluation.json").read_text())
    page = shown("this pipeline", found["findings"][0]["message"])
    for text in ("sealed test rows", "sklearn:wine, training", "hone tune"):
        page.get_by_text(text).first.wait_for()  # each is loaded by itself
    page.get_by_role("button", name="Expand description").click()
    page.get_by_text("Description").first.evaluate("each => each.scrollIntoView()")
    picture(page, "mlflow-run")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("provenance.json").first.wait_for()


def test_the_list_of_pipelines_shows_what_the_sealed_rows_say(by_flow, shown):
    page = shown("pipelines", "matching run")
    page.locator(ROWS).first.wait_for()
    assert page.locator(ROWS).count() == 1
    for column in ("test", "test_low", "test_high", "gain"):
        assert page.get_by_role("columnheader").filter(has_text=re.compile(f"^{column}$")).count() == 1
    picture(page, "mlflow-pipelines")


def test_the_trials_are_a_leaderboard_with_hyperparameters_and_the_best_first(by_flow, shown):
    results = [
        result
        for path in sorted((by_flow.root / "artifacts").glob("search_*/*.parquet"))
        for result in trials.read(path)
    ]
    page = shown("its trials", f"{len(results)} matching runs")
    page.locator(ROWS).first.wait_for()
    headers = [each.inner_text().strip() for each in page.get_by_role("columnheader").all()]
    assert "best_accuracy" in headers
    assert "learning_rate" in headers or "batch_size" in headers
    best = max(-result.objective for result in results)
    value = page.locator(f"{ROWS}[row-index='0'] [col-id*=best_accuracy]").first.inner_text()
    assert float(value) == pytest.approx(best)
    names = page.inner_text("body")
    assert "replay: defaults, seed 1" in names
    assert re.search(r"\n(random|bayes|hyperband) \d+\n", names)
    picture(page, "mlflow-trials")


def test_charts_of_the_trials_are_parallel_coordinates_and_curves(shown):
    page = shown("as charts", "Parallel Coordinates")
    page.locator(".js-plotly-plot .scatterlayer .trace path").first.wait_for(state="attached")
    drawn = page.locator(".js-plotly-plot .scatterlayer .trace path.js-line").count()
    assert drawn > 1
    page.locator("svg text", has_text="learning_rate").wait_for(state="attached")
    picture(page, "mlflow-charts")


def test_the_registrys_page_shows_the_champion(shown):
    page = shown("models", "champion")
    assert "Version 1" in page.inner_text("body")
