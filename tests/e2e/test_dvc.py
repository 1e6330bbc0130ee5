"""DVC as its users know it: what a change makes stale, experiments, differences, plots, push and pull."""

import contextlib
import json

import pytest
from dvc.repo import Repo

pytestmark = [
    pytest.mark.e2e,
]
SEARCHES = ["search_bayes", "search_hyperband", "search_random"]


@pytest.fixture(scope="module")
def project(by_dvc, tmp_path_factory):
    project = by_dvc.copy(tmp_path_factory.mktemp("dvc") / "project")
    project.git("add", "-A")
    project.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "results")
    return project


def stale(project) -> list[str]:
    """Return the stages that `dvc status` names; a stage below a stale one is named once its inputs change.

    In this process: the command itself, which other tests run, takes seconds to start.
    """
    with contextlib.chdir(project.root), Repo() as repo:  # from elsewhere it names stages by their paths
        return sorted(repo.status())


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("search.hyperband.reduction_factor", 2, ["report", "search_hyperband"]),
        ("search.bayes.outside", 0.25, ["report", "search_bayes"]),
        ("search.random.keep", 0.5, ["report", "search_random"]),
        ("search.warm_start", ["data/warm_start/a.parquet"], ["report", *SEARCHES]),
        ("evaluate.bootstrap", 200, ["evaluate", "report"]),
        ("report.title", "Ours", ["report"]),
        ("execution.workers", 7, []),
        ("tracking.experiment", "other", []),
        ("schedule.cron", "5 4 * * *", []),
    ],
)
def test_a_param_makes_stale_what_depends_on_it(project, key, value, named):
    saved = (project.root / "params.yaml").read_bytes()
    project.change({key: value})
    try:
        assert stale(project) == named
    finally:
        (project.root / "params.yaml").write_bytes(saved)


@pytest.mark.parametrize(
    ("file", "named", "unnamed"),
    [
        ("hone/search/hyperband.py", ["search_random", "search_bayes", "search_hyperband"], ["split", "retrain"]),
        ("hone/training/loop.py", ["baseline", "search_random", "retrain"], ["ingest", "split"]),
        ("hone/data/audit/leaks.py", ["split"], []),
        ("tasks/report.py", ["report"], ["evaluate"]),
        ("tasks/tracking/mlflow.py", [], ["ingest", "split", "search_random", "evaluate", "report"]),
        ("data/warm_start/README.md", [], SEARCHES),
    ],
)
def test_an_edit_makes_stale_the_stages_that_use_it(project, file, named, unnamed):
    path = project.root / file
    saved = path.read_bytes()
    path.write_bytes(saved + b"\n# edited\n")
    try:
        found = stale(project)
    finally:
        path.write_bytes(saved)
    assert set(named) <= set(found)
    assert not set(unnamed) & set(found)


def test_an_earlier_study_put_in_place_makes_the_searches_stale(project):
    path = project.root / "data" / "warm_start" / "new.parquet"
    path.write_bytes((project.root / "artifacts" / "search_bayes" / "trials.parquet").read_bytes())
    try:
        assert stale(project) == SEARCHES
    finally:
        path.unlink()
    assert stale(project) == []


def test_an_experiment_reruns_from_hyperband_on_and_its_differences_show(project):
    output = project.dvc("exp", "run", "-S", "search.hyperband.min_epochs=4")
    assert "Stage 'search_random' didn't change" in output
    assert "Stage 'search_bayes' didn't change" in output
    assert "Running stage 'search_hyperband'" in output
    params = json.loads(project.dvc("params", "diff", "--json"))
    assert params["params.yaml"] == {"search.hyperband.min_epochs": {"old": 3, "new": 4, "diff": 1}}
    metrics = json.loads(project.dvc("metrics", "diff", "--json"))
    changed = metrics["artifacts/evaluate/metrics.json"]
    assert {"old", "new"} <= set(changed["test"])
    assert "min_epochs" in project.dvc("exp", "show", "--csv")
    project.git("checkout", "-q", "--", ".")
    project.dvc("checkout", "-q")
    assert stale(project) == []


def test_metrics_are_one_small_table(project):
    table = project.dvc("metrics", "show", "--md").strip().splitlines()
    columns = [cell.strip() for cell in table[0].strip("|").split("|")]
    names = ["test", "test_low", "test_high", "gain", "gain_low", "gain_high", "validation"]
    rivals = [f"rivals.{name}" for name in ("constant", "linear", "boosting", "defaults")]
    assert columns[0] == "Path"
    assert sorted(columns[1:]) == sorted([*names, *rivals])
    assert len(table) == 3
    found = json.loads((project.root / "artifacts/evaluate/metrics.json").read_text())
    evaluation = json.loads((project.root / "artifacts/evaluate/evaluation.json").read_text())
    metric = json.loads((project.root / "data/split/problem.json").read_text())["metric"]
    assert found["test"] == evaluation["tuned"][metric]
    assert found["gain"] == evaluation["gain"][metric]
    assert [found["test_low"], found["test_high"]] == evaluation["intervals"]["tuned"][metric]
    assert found["rivals"] == {name: evaluation[name][metric] for name in found["rivals"]}


def test_plots_are_drawn(project):
    project.dvc("plots", "show")
    page = (project.root / "dvc_plots" / "index.html").read_text()
    assert "artifacts/search_bayes/history.csv" in page
    assert "confusion" in page


def test_push_clone_pull_repro_runs_nothing(project, tmp_path, environment):
    remote, clone = tmp_path / "remote", tmp_path / "clone"
    project.dvc("remote", "add", "-d", "--local", "here", str(remote))
    project.dvc("push", "-q")
    project.git("clone", "-q", str(project.root), str(clone))
    other = type(project)(clone, environment)
    other.dvc("remote", "add", "-d", "--local", "here", str(remote))
    other.dvc("pull", "-q")
    output = other.dvc("repro")
    assert "Running" not in output
    assert "up to date" in output
    assert other.hashes() == project.hashes()
