"""Both doors, any number of workers, killed or not: the same bytes, a true dvc.lock, and nothing done twice."""

import json

import pandas as pd
import pytest

from tasks import pipeline, report_page, run, run_notes
from tasks.reporting import NullReporter

pytestmark = pytest.mark.e2e
SEARCHES = ("search_random", "search_bayes", "search_hyperband")


def test_both_doors_leave_the_same_files_with_one_worker_or_two(by_flow, by_dvc):
    assert by_flow.hashes() == by_dvc.hashes()


def test_both_doors_leave_the_same_lock_file(by_flow, by_dvc):
    assert by_flow.lock() == by_dvc.lock()


def test_after_a_flow_dvc_finds_nothing_to_do(by_flow):
    assert "up to date" in by_flow.dvc("repro")
    assert "up to date" in by_flow.dvc("status")


def test_after_dvc_a_flow_finds_nothing_to_do(by_dvc):
    lock = (by_dvc.root / "dvc.lock").read_bytes()
    output = by_dvc.flow()
    assert "nothing to do" in output
    assert (by_dvc.root / "dvc.lock").read_bytes() == lock
    assert "up to date" in by_dvc.dvc("status")


def test_both_doors_leave_the_time_of_every_stage_beside_the_report(by_flow, by_dvc):
    for project in (by_flow, by_dvc):
        script = (project.root / run_notes.SCRIPT).read_text()
        found = json.loads(script.partition("= ")[2].rstrip(";\n"))
        assert found["made_of"] == report_page.read_mark((project.root / run_notes.PAGE).read_text())
        assert [stage for stage, *_ in found["stages"]] == list(pipeline.specs(project.root))
        commit = project.git("rev-parse", "HEAD").strip()
        assert all(seconds > 0 and at == commit[:10] for _, seconds, _, at in found["stages"])


def test_git_sees_only_what_belongs_into_it(by_flow, by_dvc):
    for project in (by_flow, by_dvc):
        assert project.git("status", "--porcelain").split() == ["??", "dvc.lock"]


def test_a_run_killed_in_every_search_stage_ends_in_the_same_bytes(make_project, by_flow):
    project = make_project({"execution.workers": 3}, name="killed")
    before: dict[str, list[str]] = {}
    for stage in SEARCHES:
        project.killed("python", "-m", "flows.tune", when=lambda stage=stage: len(project.journal(stage)) >= 5)
        before[stage] = project.journal(stage)
    project.flow()
    assert project.hashes() == by_flow.hashes()
    for stage in SEARCHES:
        whole = [line for line in before[stage] if line.endswith("}")]
        lines = project.journal(stage)
        # What had been finished stands there still, and nothing was trained a second time.
        assert lines[: len(whole)] == whole
        numbers = [json.loads(line.partition(" ")[2])["trial"]["number"] for line in lines]
        assert sorted(numbers) == list(range(len(numbers)))


def test_a_run_through_dvc_killed_in_the_middle_goes_on(by_dvc, by_flow, tmp_path):
    # From where search_bayes has ended, with a cache that knows nothing of what comes after it.
    stages = list(pipeline.specs(by_dvc.root).values())
    first = [spec.name for spec in stages].index("search_hyperband")
    gone = [out for spec in stages[first:] for out in spec.outs]
    project = by_dvc.copy(tmp_path / "killed_dvc", ".work", ".dvc/cache", ".dvc/tmp", *gone)
    project.dvc("commit", "-q", "-f", *(spec.name for spec in stages[:first]))
    project.killed("dvc", "repro", when=lambda: len(project.journal("search_hyperband", "replay")) >= 2)
    before = project.journal("search_hyperband", "replay")
    project.dvc("repro")
    assert project.hashes() == by_flow.hashes()
    assert project.journal("search_hyperband", "replay")[: len(before)] == before


def test_no_stage_before_evaluate_reads_the_sealed_rows(by_flow, tmp_path):
    # Without the raw table and with nonsense in place of the test rows, all stages between give the same bytes.
    stages = list(pipeline.specs(by_flow.root).values())
    names = [spec.name for spec in stages]
    between = stages[names.index("split") + 1 : names.index("evaluate")]
    # MLflow's database names the folder of its artifacts in full: in a copy, that of the original.
    left_out = (
        "data/raw",
        ".work",
        "mlflow.db",
        "mlflow.db-wal",
        "mlflow.db-shm",
        *(out for spec in between for out in spec.outs),
    )
    project = by_flow.copy(tmp_path / "copy", *left_out)
    sealed = project.root / "data" / "split" / "sealed" / "test.parquet"
    rows = pd.read_parquet(sealed)
    sealed.unlink()
    rows.iloc[:, :] = rows.iloc[::-1, :].to_numpy()
    rows.to_parquet(sealed)
    expected = by_flow.hashes()
    with run.surroundings(project.root, NullReporter()) as (tracker, executor):

        def run_stage(name):
            run.run_stage(project.root, name, reporter=NullReporter(), tracker=tracker, executor=executor)

        for spec in between:
            run_stage(spec.name)
            for out in spec.outs:
                assert pipeline.hash_path(project.root / out) == expected[out], f"{out} depends on the sealed rows"
        run_stage("evaluate")
    metrics = "artifacts/evaluate/evaluation.json"
    assert pipeline.hash_path(project.root / metrics) != expected[metrics]
