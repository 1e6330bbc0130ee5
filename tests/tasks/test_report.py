"""The report's page: what it shows, how large it is, and how a browser, a phone and a printer show it."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from hone import models
from hone.space import SearchSpace
from hone.trial import Result, State, Trial
from tasks import files, phase, pipeline, report, report_figures, report_page, run_notes
from tasks.allowance import within
from tasks.params import search_space
from tasks.report_plot import axis
from tasks.stage import Stage
from tests.tasks.test_final_stages import make, run, search, table

if TYPE_CHECKING:
    from playwright.sync_api import Page

PHONE, PAPER = 390, 688
"""Widths in pixels: of a phone, and of what A4 has between its margins, at 96 to the inch."""
LARGEST = 2_000_000
Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A project of two classes in which all stages but the searches have run."""
    with ThreadPoolExecutor(1) as executor:
        made = make(tmp_path_factory.mktemp("report"), executor, "binary", report={"title": "Ours"})
        search(made)
        for name in ("baseline", "retrain", "evaluate", "report"):
            run(made, name)
        yield made


def page_of(stage: Stage) -> Path:
    return stage.path("artifacts", "report", "report.html")


def changed(stage: Stage, name: str, **content: Any) -> str:
    """Return the page where one of the files that it is made of says something else."""
    path = stage.path("artifacts", *name.split("/"))
    before = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "importances", lambda *_: None)  # forests take seconds
        try:
            files.write_json(path, {**json.loads(before), **content})
            return report.page(report.read(replace(stage, name="report")))
        finally:
            path.write_bytes(before)


def many(stage: Stage, n: int) -> list[Result]:
    """Return trials from the whole space, some of which failed."""
    space, generator = search_space(stage.params), np.random.default_rng(0)
    found = []
    for number in range(n):
        config = space.decode(generator.random(space.dimension))
        study = f"search_{('random', 'bayes', 'hyperband')[3 * number // n]}"
        trial = Trial(study=study, number=number, generation=0, config=config, resource=9, origin="surrogate")
        if number % 50 == 7:
            found.append(Result(trial=trial, state=State.FAILED, cost=1.0, error="killed"))
            continue
        curve = tuple((-generator.random(9)).tolist())
        found.append(Result(trial=trial, state=State.COMPLETE, objective=min(curve), curve=curve, cost=9.0))
    return found


def test_every_axis_spans_the_space_that_was_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.tasks.test_final_stages.table", lambda task: table(task, 4 * models.FEW_ROWS))
    with ThreadPoolExecutor(1) as executor:
        stage = make(tmp_path, executor, "regression")
    searching = within(replace(stage, name="search_random"))
    found = phase.findings(searching, [1.0])
    stated = search_space(stage.params).domains["batch_size"]
    searched = found.full.domains["batch_size"]
    assert searched.high > stated.high  # or this table would prove nothing
    results = [
        Result(
            trial=Trial(
                study="search_random",
                number=number,
                generation=0,
                config={**found.full.default, "batch_size": size},
                resource=4,
            ),
            state=State.COMPLETE,
            objective=1.0 + number,
            curve=(1.0 + number,) * 4,
            cost=4.0,
        )
        for number, size in enumerate((stated.high, searched.high))
    ]
    phase.hand_on(searching, found, results, 0.25)
    space = SearchSpace.from_json(files.read_json(stage.path("artifacts/search_random/space.json"))["searched"])
    (plot,) = report_figures.slices(results, ["batch_size"], space, "rmse")
    assert str(searched.high) in [text for _, text in plot.x.ticks]
    places = report_figures.parallel(results, ["batch_size"], space, "rmse").lines
    assert len({line[0][0] for line in places}) == 2  # they do not collapse on the edge


def test_the_report_reads_the_space_that_was_searched_and_not_the_one_in_params(stage: Stage) -> None:
    path = stage.path("artifacts/search_random/space.json")
    searched = files.read_json(path)["searched"]
    for domain in searched["domains"]:
        if domain["name"] == "batch_size":
            domain["high"] = 4096
    content = changed(stage, "search_random/space.json", searched=searched)
    assert ">4096</span>" in content
    assert ">4096</span>" not in page_of(stage).read_text(encoding="utf-8")


def test_a_warning_at_the_head_is_marked_as_one(stage: Stage) -> None:
    findings = [{"severity": "warning", "message": "No better than a constant: so it is."}]
    content = changed(stage, "evaluate/evaluation.json", findings=findings)
    head = content[content.index('<p class="headline') : content.index('id="result"')]
    assert '<p class="headline bad"><strong class="mark">Warning</strong> No better than a constant' in head
    calm = changed(stage, "evaluate/evaluation.json", findings=[{"severity": "info", "message": "Fine."}])
    assert '<strong class="mark">Warning</strong> Fine.' not in calm


def test_figures_of_delivered_defaults_name_no_tuned_model(stage: Stage) -> None:
    tuned = changed(stage, "evaluate/evaluation.json", delivered="tuned")
    content = changed(stage, "evaluate/evaluation.json", delivered="defaults")
    section = content[content.index('id="test"') : content.index('id="columns"')]
    assert "Expected calibration error: delivered 0" in section
    assert section.count("delivered: predicted") > 0
    assert ("tuned" in section.replace("c-tuned", ""), section.count("delivered") > 3) == (False, True)
    assert "Expected calibration error: tuned 0" in tuned


def test_finalists_name_the_trials_they_come_from(stage: Stage) -> None:
    found = report.read(replace(stage, name="report"))
    tried = found.results[3]
    later = replace(found.results[-1], trial=replace(found.results[-1].trial, config=tried.trial.config))
    results = [*found.results[:-1], later]  # it is continued in a later phase
    standings = [*found.winner["standings"][:1], found.winner["standings"][0] | {"config": dict(tried.trial.config)}]
    section = report._winner(replace(found, results=results, winner=found.winner | {"standings": standings}))
    table = next(block for block in section.blocks if isinstance(block, report.Table))
    assert table.rows[1][1] == f"{tried.trial.study.removeprefix('search_')} {tried.trial.number}"  # as in MLflow


@pytest.mark.parametrize(
    ("order", "delivered", "names"),
    [
        ([0, 1, 2], "tuned", ["winner", "finalist 2", "finalist 3"]),
        ([1, 0, 2], "tuned", ["winner", "the defaults", "finalist 2"]),
        ([0, 1, 2], "defaults", ["delivered: the defaults", "finalist 1", "finalist 2"]),
    ],
)
def test_searched_finalists_are_numbered_from_one(
    stage: Stage, order: list[int], delivered: str, names: list[str]
) -> None:
    found = report.read(replace(stage, name="report"))
    default = found.winner["default"]
    others = [default | {"config": dict(result.trial.config)} for result in found.results[:3]]
    configs = [default if delivered == "defaults" or 0 in order[1:] else others[2], *others[:2]]
    winner = {**found.winner, "delivered": delivered, "standings": [configs[place] for place in order]}
    section = report._winner(replace(found, winner=winner, evaluation={**found.evaluation, "delivered": delivered}))
    table = next(block for block in section.blocks if isinstance(block, report.Table))
    assert [row[0] for row in table.rows] == names


def test_one_replay_is_neither_called_a_mean_nor_given_a_deviation(stage: Stage) -> None:
    winner = files.read_json(stage.path("artifacts/search_hyperband/winner.json"))
    once = {"n": 1, "n_failed": 0, "std": 0.0}
    content = changed(
        stage,
        "search_hyperband/winner.json",
        **once,
        default={**winner["default"], **once},
        standings=[{**one, **once} for one in winner["standings"]],
    )
    before = page_of(stage).read_text(encoding="utf-8")
    for words in ("mean of 3", "Bars are standard deviations", "mean ROC AUC", "best mean", "over 3 seeds"):
        assert (words in before, words in content) == (True, False), words
    assert "network, defaults <small>(one replay)</small>" in content
    assert "The finalists were trained anew with one new seed. The best score wins." in content


def test_the_budget_is_counted_in_epochs_of_the_default_config(stage: Stage) -> None:
    content = page_of(stage).read_text(encoding="utf-8")
    assert "epochs spent" not in content
    assert "epochs in three phases" not in content
    assert content.count("budget spent, in epochs of the default config") == 1  # the axis
    assert re.search(r"budget spent: \d+ epochs of the default config", content)
    assert '<th scope="col">budget spent</th>' in content
    assert content.count("an epoch of a config that costs more counts more") == 1
    assert "are worse by nature" in content


@pytest.mark.parametrize(
    ("method", "is_warned"), [("random", True), ("stratified by target", True), ("grouped", False), ("time", False)]
)
def test_drift_is_no_warning_where_the_parts_are_split_by_time_or_groups(
    stage: Stage, method: str, is_warned: bool
) -> None:
    found = report.read(replace(stage, name="report"))
    drift = [{**one, "test": 0.9} for one in found.diagnostics["drift"][:1]]
    audit, diagnostics = {**found.audit, "method": method}, {**found.diagnostics, "drift": drift}
    (text,) = (
        block
        for block in report._drift(replace(found, audit=audit, diagnostics=diagnostics)).blocks
        if isinstance(block, report.Text) and "test rows differ" in block.text
    )
    assert text.warning == is_warned


def test_the_delivered_model_is_drawn_above_the_defaults() -> None:
    rows = {"predicted": [0.1, 0.9] * 2, "observed": [0.2, 0.8] * 2, "n_rows": [5] * 4}
    plot = report_figures.calibration(pd.DataFrame({**rows, "curve": ["tuned"] * 2 + ["defaults"] * 2}), "delivered")
    marks = [mark for mark in plot.marks if "c-tuned" in mark or "c-defaults" in mark]
    assert ["c-tuned" in mark for mark in marks] == [False, False, True, True]
    assert [text for *_, text in plot.legend] == ["delivered", "defaults"]


@pytest.mark.parametrize(
    ("severities", "said"),
    [
        ([], "Nothing obvious found. Tested: ids; the order of rows."),
        (["info"], "Nothing obvious found beyond what is said below. Tested: ids; the order of rows."),
        (
            ["warning", "warning"],
            "2 warnings below: look into them before you trust a score. Tested: ids; the order of rows.",
        ),
    ],
)
def test_the_audit_says_what_was_tested(stage: Stage, severities: list[str], said: str) -> None:
    found = report.read(replace(stage, name="report"))
    findings = [{"severity": one, "kind": "ids", "message": "an id", "columns": [], "count": 1} for one in severities]
    audit = {**found.audit, "findings": findings, "tested": ["ids", "the order of rows"]}
    assert report._audit(replace(found, audit=audit)).lead == said


def test_warnings_below_the_head_are_marked_and_notes_are_not(stage: Stage) -> None:
    said = [("info", "First."), ("warning", "Look out."), ("info", "By the way.")]
    findings = [{"severity": severity, "message": message} for severity, message in said]
    content = changed(stage, "evaluate/evaluation.json", findings=findings)
    assert '<p class="warning"><strong class="mark">Warning</strong> Look out.</p>' in content
    assert '<p class="text">By the way.</p>' in content


@pytest.mark.parametrize("n", [1000, 9000])
def test_a_page_of_many_trials_stays_within_two_megabytes(
    stage: Stage, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if n > report.MOST_TRIALS:
        monkeypatch.setattr(report, "importances", lambda *_: None)  # forests of so many trials take a minute
    found = report.read(replace(stage, name="report"))
    content = report.page(replace(found, results=many(stage, n)))
    assert len(content.encode()) <= LARGEST
    rows = json.loads(content.split('<script type="application/json">')[1].split("</script>")[0])["rows"]
    assert len(rows) == min(n, report.MOST_TRIALS)
    if n > report.MOST_TRIALS:
        assert f"The best {report.MOST_TRIALS:,} of {n:,} trials" in content


def test_the_table_of_trials_has_every_trial_and_the_metric_in_its_own_sign(stage: Stage) -> None:
    content = page_of(stage).read_text(encoding="utf-8")
    data = json.loads(content.split('<script type="application/json">')[1].split("</script>")[0])
    assert data["columns"][:7] == ["phase", "trial", "ROC AUC", "epochs", "rows, %", "state", "origin"]
    assert "learning_rate" in data["columns"]
    assert len(data["rows"]) == 36
    scores = [row[2] for row in data["rows"] if row[5] == "complete"]
    assert len(scores) == 33
    assert all(0 < score < 1 for score in scores)
    assert [row[2] for row in data["rows"] if row[5] == "diverged"] == [None] * 3


def test_mistakes_name_the_rows_of_the_raw_table(stage: Stage) -> None:
    raw = table("binary")
    seen = files.read_json(stage.path("artifacts/evaluate/diagnostics.json"))["mistakes"]
    assert 0 < len(seen["rows"]) <= 20
    for one in seen["rows"]:
        assert raw["target"].iloc[one["row"] - 1] == one["actual"] != one["predicted"]
        place = seen["columns"].index("size")
        assert float(one["values"][place]) == pytest.approx(raw["size"].iloc[one["row"] - 1], rel=1e-4)
    given = [one["of_actual"] for one in seen["rows"]]
    assert given == sorted(given)
    assert f"<tr><td>{seen['rows'][0]['row']}</td>" in page_of(stage).read_text(encoding="utf-8")


def test_importance_finds_what_the_target_is_made_of(stage: Stage) -> None:
    seen = files.read_json(stage.path("artifacts/evaluate/diagnostics.json"))["importance"]
    assert seen["columns"][0]["column"] == "size"
    assert seen["columns"][0]["loss"] > 0.1
    assert 'id="figure-columns"' in page_of(stage).read_text(encoding="utf-8")


def test_drift_is_measured_for_every_column_and_told_of_where_it_is_beyond_chance(stage: Stage) -> None:
    seen = files.read_json(stage.path("artifacts/evaluate/diagnostics.json"))["drift"]
    assert {"size", "kind", "target"} <= {one["column"] for one in seen}
    quiet = [{**one, "test": 0.0, "validation": 0.0} for one in seen]
    assert "no column beyond what chance explains" in changed(stage, "evaluate/diagnostics.json", drift=quiet)
    loud = [{**one, "test": 0.9} if one["column"] == "size" else one for one in quiet]
    content = changed(stage, "evaluate/diagnostics.json", drift=loud)
    assert "The test rows differ from the training rows by more than chance in size." in content
    assert "no column beyond" not in content


def test_what_differs_from_run_to_run_is_beside_the_page_and_not_in_an_out(stage: Stage) -> None:
    root = stage.root
    (root / "dvc.yaml").write_text(
        "stages: {report: {cmd: x, deps: [params.txt], outs: [artifacts/report/report.html]}}"
    )
    (root / "params.txt").write_text("as it was")
    before = page_of(stage).read_bytes()
    fingerprint = pipeline.fingerprint(root, pipeline.specs(root)["report"], {})
    tags = {"hone.git_commit": "0123456789abcdef", "hone.git_dirty": "true"}
    run_notes.note(root, "report", fingerprint, 1.25, tags)
    run_notes.write(root, {})
    script = (root / run_notes.SCRIPT).read_text()
    assert report_page.read_mark(before.decode()) in script
    assert '"0123456789 with changes"' in script
    assert page_of(stage).read_bytes() == before
    (root / "params.txt").write_text("as it is now")  # its seconds are of other inputs
    run_notes.write(root, {})
    assert '"stages": []' in (root / run_notes.SCRIPT).read_text()
    (root / run_notes.NOTES).write_text('{"report": {"seconds": "many"}, "x": 3}')  # damaged
    run_notes.write(root, {})
    outs = [out for spec in pipeline.specs(Path(__file__).parents[2]).values() for out in spec.outs]
    assert not [out for out in outs if str(run_notes.SCRIPT).startswith(out) or str(run_notes.NOTES).startswith(out)]


def opened(open_page: Open, stage: Stage, **options: Any) -> "Page":
    """Open the report, and fail if its script raises."""
    page = open_page(page_of(stage).as_uri(), **options)
    assert page.locator("table.data tbody tr").count() > 0  # the script has come to its end
    return page


def beyond(page: "Page", selector: str) -> list[str]:
    """Return what of a kind sticks out of the window sideways, unless it lies in a box that scrolls."""
    return page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)]
          .filter((one) => one.getClientRects().length && (one.getBoundingClientRect().right > innerWidth + 1
                  || one.getBoundingClientRect().left < -1)
                  && !(getComputedStyle(one.closest('.scroll, pre') ?? one).overflowX === 'auto'))
          .map((one) => `${one.tagName} ${one.className} ${one.textContent.slice(0, 40)}`)""",
        selector,
    )


def test_a_desktop_shows_verdict_figures_and_a_table_that_sorts(stage: Stage, open_page: Open) -> None:
    page = opened(open_page, stage)
    first = files.read_json(stage.path("artifacts/evaluate/evaluation.json"))["findings"][0]["message"]
    assert first in page.locator(".headline").inner_text()
    assert page.locator("nav a").first.is_visible()
    assert beyond(page, "*") == []
    scores = page.locator("table.data tbody tr td:nth-child(3)")
    for way in (1, -1):
        page.get_by_role("button", name="ROC AUC").click()
        shown = [float(text) for text in scores.all_inner_texts() if text]
        assert shown == sorted(shown)[::way]
        assert scores.all_inner_texts()[-1] == ""  # a trial without a score is last, whichever way
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    saved = pd.read_csv(download.value.path())
    assert len(saved) == 36
    assert list(saved.columns[:3]) == ["phase", "trial", "ROC AUC"]


def test_a_long_table_is_shown_by_pages(stage: Stage, open_page: Open, tmp_path: Path) -> None:
    found = report.read(replace(stage, name="report"))
    (tmp_path / "report.html").write_text(report.page(replace(found, results=many(stage, 120))), encoding="utf-8")
    page = open_page((tmp_path / "report.html").as_uri())
    rows = page.locator("table.data tbody tr")
    assert rows.count() == 50
    for _ in range(2):
        page.get_by_role("button", name="Next").click()
    assert rows.count() == 20
    assert page.get_by_role("button", name="Next").is_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_within_its_width(stage: Stage, open_page: Open, scheme: str) -> None:
    page = opened(open_page, stage, width=PHONE, height=844, color_scheme=scheme, is_mobile=True, has_touch=True)
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [PHONE, PHONE]
    assert beyond(page, "*") == []
    sizes = page.evaluate(
        """[...document.querySelectorAll('p, td, th, span, li, b, small, figcaption, a, h1, h2')]
          .filter((one) => one.getClientRects().length && one.textContent.trim())
          .map((one) => parseFloat(getComputedStyle(one).fontSize))"""
    )
    assert min(sizes) >= 11
    areas = page.evaluate("[...document.querySelectorAll('.plot .area')].map((one) => one.clientWidth)")
    assert min(areas) > PHONE / 3


def test_dark_mode_turns_page_and_figures(stage: Stage, open_page: Open) -> None:
    def colours(scheme: str) -> dict[str, float]:
        page = opened(open_page, stage, color_scheme=scheme)
        found = page.evaluate(
            """() => Object.fromEntries(Object.entries({ground: ['section', 'backgroundColor'],
              text: ['.lead', 'color'], line: ['path.best', 'stroke'], grid: ['path.grid', 'stroke'],
              label: ['.y span', 'color']}).map(
              ([name, [selector, key]]) => [name, getComputedStyle(document.querySelector(selector))[key]]))"""
        )
        return {name: sum(map(int, text[4:-1].split(","))) / 765 for name, text in found.items()}

    light, dark = colours("light"), colours("dark")
    assert light["ground"] > 0.9 > 0.5 > light["text"]
    assert dark["ground"] < 0.2 < 0.5 < dark["text"]
    for name in ("line", "label"):  # readable on either ground
        assert abs(light[name] - light["ground"]) > 0.4 < abs(dark[name] - dark["ground"])
    assert dark["grid"] < 0.4


def test_paper_shows_every_column_and_no_buttons(stage: Stage, open_page: Open) -> None:
    page = opened(open_page, stage, width=PAPER, height=1000, color_scheme="dark")
    page.emulate_media(media="print")
    assert beyond(page, "*") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    gain = page.locator("#result th", has_text="gain").bounding_box()
    assert gain is not None
    assert gain["x"] + gain["width"] <= PAPER
    assert page.locator("#trials").is_hidden()
    assert not [one for one in page.get_by_role("button").all() if one.is_visible()]
    kept = page.evaluate("[...document.querySelectorAll('figure')].map((one) => getComputedStyle(one).breakInside)")
    assert set(kept) == {"avoid"}
    tall = page.evaluate("[...document.querySelectorAll('figure')].map((one) => one.clientHeight)")
    assert max(tall) < 900  # or a page could not hold it as a whole
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(30, 41, 59)"  # ink, whatever the screen


def broken(page: "Page", selector: str) -> list[str]:
    """Return the words in elements of a kind that go over more than one line."""
    return page.evaluate(
        """(selector) => [...document.querySelectorAll(selector)].flatMap((one) => {
          const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), found = [];
          for (let node = walker.nextNode(); node; node = walker.nextNode())
            for (const word of node.data.matchAll(/\\S+/g)) {
              const range = document.createRange();
              range.setStart(node, word.index);
              range.setEnd(node, word.index + word[0].length);
              if (new Set([...range.getClientRects()].map((box) => box.top)).size > 1) found.push(word[0]);
            }
          return found;
        })""",
        selector,
    )


@pytest.fixture(scope="module")
def wide(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with long numbers in the tables of how the space narrowed, and long words in that of mistakes."""
    found = report.read(replace(stage, name="report"))
    between = "0.000376574 to 0.0777296 (log)"
    reason = "the best 22 of 86 trials lie between 0.000474779 and 0.0616518"
    change = {"name": "label_smoothing", "before": between, "after": between, "reason": reason}
    words = ["0123456789abcdef" * 4, "https://example.org/a/path/without/a/space", *["word" * 20] * 3]
    mistakes = found.diagnostics["mistakes"]
    mistakes = {
        "columns": ["a_long_name_of_a_column", *"bcde"],
        "rows": [{**one, "values": words} for one in mistakes["rows"]],
    }
    path = tmp_path_factory.mktemp("wide") / "report.html"
    diagnostics = {**found.diagnostics, "mistakes": mistakes}
    found = replace(found, changes={study: [change] for study in found.changes}, diagnostics=diagnostics)
    path.write_text(report.page(found), encoding="utf-8")
    return path


def test_a_phone_breaks_no_number_in_a_table_of_prose(wide: Path, open_page: Open) -> None:
    page = open_page(wide.as_uri(), width=PHONE, height=844, is_mobile=True, has_touch=True)
    assert broken(page, "#narrowing td, #winner td, #provenance td") == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    assert beyond(page, "*") == []  # what is wider lies in a box that scrolls
    digests = page.locator("#provenance tbody td:nth-child(2)").all_inner_texts()
    assert digests
    assert all(re.fullmatch("[0-9a-f]{16}", text) for text in digests)


def test_paper_cuts_no_table_of_long_words(wide: Path, open_page: Open) -> None:
    page = open_page(wide.as_uri(), width=PAPER, height=1000)
    page.emulate_media(media="print")
    assert beyond(page, "*") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER
    assert broken(page, "#narrowing td, #narrowing th, #mistakes th:nth-child(-n + 3)") == []


@pytest.mark.parametrize(("width", "media"), [(1440, "screen"), (1201, "screen"), (PHONE, "screen"), (PAPER, "print")])
def test_labels_of_small_figures_do_not_touch(
    stage: Stage, open_page: Open, tmp_path: Path, width: int, media: str
) -> None:
    space = search_space(stage.params)
    names = ["weight_decay", "embedding", "units_1", "dropout"]
    figure = report_page.Figure("slices", report_figures.slices(many(stage, 50), names, space, "roc_auc"))
    section = report_page.Section("one", "One", "", [figure])
    content = report_page.render("Title", [], report_page.Headline("All."), [section])
    (tmp_path / "page.html").write_text(content, encoding="utf-8")
    page = open_page((tmp_path / "page.html").as_uri(), width=width)
    page.emulate_media(media=media)
    axes = page.evaluate(
        """[...document.querySelectorAll('.plot .x')].map((axis) => [...axis.children].map(
          (one) => [one.textContent, one.getBoundingClientRect().left, one.getBoundingClientRect().right]))"""
    )
    assert len(axes) == len(names)
    for labels in axes:
        assert len(labels) > 1
        assert all(right + 2 < left for (_, _, right), (_, left, _) in pairwise(labels)), labels


def test_the_page_shows_the_run_that_lies_beside_it_and_no_other(stage: Stage, open_page: Open, tmp_path: Path) -> None:
    copy = tmp_path / "report.html"
    content = page_of(stage).read_text(encoding="utf-8")
    copy.write_text(content, encoding="utf-8")
    stages = [["search_random", 61.25, "2026-12-01 12:00", "0123456789"], ["report", 1.5, "2026-12-01 12:02", "none"]]
    said = {}
    for name, mark in (("own", report_page.read_mark(content)), ("other", "0" * 64), ("none", None)):
        beside = tmp_path / report_page.RUN
        beside.unlink(missing_ok=True)
        if mark is not None:
            beside.write_text(report_page.run_script({"made_of": mark, "stages": stages}))
        said[name] = open_page(copy.as_uri()).locator("#run").inner_text()
    assert "search_random" in said["own"]
    assert "62.8" in said["own"]  # together
    assert "0123456789" in said["own"]
    assert "Not recorded here" not in said["own"]
    assert all("Not recorded here" in said[name] and "0123456789" not in said[name] for name in ("other", "none"))


def test_an_axis_of_one_large_number_is_wide_enough_for_its_ticks() -> None:
    found = axis("x", 1e20, 1e20)
    assert found.low < 1e20 < found.high
    assert found.ticks


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (["none", "piecewise_linear"], ["none", "piecewise_line…"]),
        (["adamw", "sgd"], ["adamw", "sgd"]),
        (["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1"], ["1e-06", "0.0001", "0.01"]),
        (["only"], ["only"]),
    ],
)
def test_labels_are_cut_or_left_out_only_where_they_would_touch(labels: list[str], shown: list[str]) -> None:
    ticks = [((index + 0.5) / len(labels), text) for index, text in enumerate(labels)]
    assert [text for _, text in report_figures.apart(ticks, 160)] == shown
