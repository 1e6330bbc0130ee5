"""A past run is done again and gives the same bits, or it is said in what it does not, or why it cannot be done."""

import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from flows import cli
from tasks import record, trials
from tasks.tracking.logged import read_run

pytestmark = [
    pytest.mark.e2e,
]
ROOT = Path(__file__).parents[2]
AS = ("-c", "user.name=t", "-c", "user.email=t@example.com")


def run_of(project, kind: str = "pipeline", name: str = "", **tags: str) -> str:
    """Return the id of the newest run of a kind in the project's MLflow, of a name and with tags."""
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    found = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1000)
    wanted = {"hone.kind": kind, **{f"hone.{key}": value for key, value in tags.items()}}
    return next(
        run.info.run_id
        for run in found
        if (not name or run.info.run_name == name) and all(run.data.tags.get(key) == wanted[key] for key in wanted)
    )


def tags_of(project, run: str) -> dict[str, str]:
    return dict(read_run(project.root, None, run).tags)


def hone(project, *arguments: str, code: int = 0) -> str:
    """Run a command of Hone's, which must end with a code; return what it printed."""
    command, *rest = arguments
    done = project.run("python", "-m", f"flows.{command}", *rest, check=False)
    assert done.returncode == code, f"{done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert not list((project.root / ".work" / "reproduce").glob("*")), "the checkout is still there"
    return done.stdout if code < 2 else done.stderr


def commit(project, what: str) -> str:
    project.git("add", "-A")
    project.git(*AS, "commit", "-qm", what)
    return project.git("rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def short(make_project):
    """A project of two stages on a table that DVC tracks, run once; dvc.lock is committed afterwards."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    table["y"] = np.where(table["a"] + table["b"] > 0, "up", "down")
    project = make_project({"data.source": "data/raw/table.csv", "data.target": "y"}, table, name="short")
    stages = yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]
    short = {name: stages[name] for name in ("ingest", "split")}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": short}))
    commit(project, "two stages")
    project.dvc("repro")
    commit(project, "its results")
    return project


@pytest.fixture(scope="module")
def newer(short, tmp_path_factory):
    """The short project after a night in which a newer table was copied over the old one; nothing is committed."""
    project = short.copy(tmp_path_factory.mktemp("newer") / "project")
    with (project.root / "data/raw/table.csv").open("a") as file:
        file.write("9.0,9.0,0.0,up\n")
    project.dvc("repro")
    return project


@pytest.fixture
def inside(monkeypatch, capsys):
    """Return a function that runs a command in this process, in a project, and returns its code and what it said."""

    def run(project, *arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(project.root)
        monkeypatch.setenv("PATH", project.environment["PATH"])
        code = cli.main(list(arguments))
        return code, capsys.readouterr().err

    return run


def test_a_run_of_the_flow_is_reproduced_to_the_bit(by_flow):
    said = hone(by_flow, "reproduce", run_of(by_flow))
    assert "equal to the bit" in said
    assert re.search(r"report +1 +equal", said)


def test_a_run_of_dvc_is_reproduced_up_to_the_trial_that_is_asked_for(by_dvc):
    said = hone(by_dvc, "reproduce", f"mlflow:{run_of(by_dvc, 'trial', 'random 3')}")
    assert "equal to the bit" in said
    assert re.search(r"search_random +\d+ +equal", said)
    assert "search_bayes" not in said


def test_both_doors_record_what_dvc_knows_of_all_outs(by_flow, by_dvc):
    for project in (by_flow, by_dvc):
        found = record.parse("run", tags_of(project, run_of(project)))
        locked = {
            name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in project.lock()["stages"].items()
        }
        assert found.outs == locked
        assert found.machine == record.this_machine("cpu")
        assert set(found.packages) == set(record.NUMERICAL)


def test_a_planted_difference_is_named_by_stage_out_and_trial(by_dvc, tmp_path):
    project = by_dvc.copy(tmp_path / "planted", "mlflow.db", "mlartifacts")
    path = project.root / "artifacts" / "search_random" / "trials.parquet"
    results = trials.read(path)
    first, second, *rest = results[2].curve
    results[2] = replace(results[2], curve=(first, second + 1e-9, *rest))
    path.unlink()
    trials.write(path, results, "accuracy")
    project.dvc("commit", "-q", "-f")
    said = hone(project, "verify", code=1)
    assert "search_random is the first stage that differs: artifacts/search_random/trials.parquet" in said
    assert "trial search_random-0002: its curve differs from epoch 2 on" in said
    assert re.search(r"baseline +\d+ +equal", said)
    assert re.search(r"search_bayes +\d+ +not run", said)


def test_the_working_tree_is_verified_as_it_is(short, tmp_path):
    project = short.copy(tmp_path / "edited")
    code = project.root / "hone" / "data" / "splitting.py"
    code.write_text(code.read_text() + "\nfrom hone.data import uncommitted as uncommitted\n")
    (project.root / "hone" / "data" / "uncommitted.py").write_text("")
    project.git("rm", "-q", "--cached", "prefect.toml")
    assert "ingest: is not up to date" in hone(project, "verify", code=2)
    project.change({"split.test": 0.3})
    project.dvc("repro")
    said = project.run("python", "-m", "flows.verify", "--keep").stdout
    assert "equal to the bit: the working tree, 10 outs of 2 stages" in said
    (kept,) = (project.root / ".work" / "reproduce").iterdir()
    assert kept.name in said
    assert record.md5(kept / "checkout" / "data" / "split") == record.md5(project.root / "data" / "split")


def test_what_a_time_limit_was_measured_to_be_is_not_measured_again(short, tmp_path):
    project = short.copy(tmp_path / "limited")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    limited = {name: stages[name] for name in ("ingest", "split", "budget")}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": limited}))
    project.change({"budget.time_limit": "10m"})
    commit(project, "ten minutes")
    project.dvc("repro")
    (project.root / "budget.lock").rename(tmp_path / "measured")  # neither here nor in git: the run itself has it
    said = hone(project, "reproduce", run_of(project))
    assert "equal to the bit" in said
    assert re.search(r"budget +1 +equal", said)


def test_a_revision_is_compared_with_its_lock_file(short):
    said = hone(short, "reproduce", "HEAD")
    assert re.search(r"split +9 +equal", said)
    assert f"equal to the bit: HEAD ({short.git('rev-parse', 'HEAD')[:12]})" in said


def test_a_run_whose_only_change_was_the_datas_newer_version_is_reproduced(newer):
    assert newer.git("status", "--porcelain").split() == ["M", "data/raw/table.csv.dvc", "M", "dvc.lock"]
    run = run_of(newer)
    assert tags_of(newer, run)["hone.git_dirty"] == "false"
    shutil.copyfile(newer.root / "data/raw/table.csv", newer.root / ".work" / "table.csv")
    newer.git("checkout", "-q", "--", "data/raw/table.csv.dvc")  # not even the project says which version it was
    try:
        assert "equal to the bit" in hone(newer, "reproduce", run)
    finally:
        newer.dvc("commit", "-q", "-f", "data/raw/table.csv.dvc")


def test_a_run_whose_data_has_changed_since_is_reproduced_with_the_data_it_had(newer, inside):
    old = newer.git("show", "HEAD:data/raw/table.csv.dvc")
    md5 = re.search(r"md5: (\w{32})", old)[1]
    run = next(
        run.info.run_id
        for run in MlflowClient(f"sqlite:///{newer.root}/mlflow.db").search_runs(["1"])
        if run.data.tags["hone.kind"] == "pipeline" and md5 in tags_of(newer, run.info.run_id)["hone.data"]
    )
    assert "equal to the bit" in hone(newer, "reproduce", run)
    kept = newer.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.rename(newer.root / ".work" / "kept")
    try:
        code, said = inside(newer, "reproduce", run)
    finally:
        (newer.root / ".work" / "kept").rename(kept)
    assert code == 2
    assert said.count("\n") == 1
    assert "data/raw/table.csv" in said
    assert md5 in said
    assert "dvc push" in said


def test_uncommitted_changes_that_outs_depend_on_are_refused_and_others_are_not(short, tmp_path, inside):
    project = short.copy(tmp_path / "dirty")
    project.change({"split.test": 0.25})
    (project.root / "notes.txt").write_text("none of a stage's business")
    project.dvc("repro")
    run = run_of(project, git_dirty="true")
    code, said = inside(project, "reproduce", run)
    assert code == 2
    assert said.count("\n") == 1
    assert run in said
    assert project.git("rev-parse", "HEAD")[:12] in said
    assert "params.yaml, notes.txt" in said
    assert "`hone verify`" in said
    project.git(*AS, "commit", "-qam", "what it was made with")  # but for the notes
    project.run("python", "-m", "tasks.run", "split")
    assert tags_of(project, run)["hone.git_dirty"] == "true"
    assert "equal to the bit" in hone(project, "reproduce", run)


@pytest.mark.parametrize("run", ["0" * 32, "mlflow:" + "f" * 32, "no-such-branch"])
def test_an_unknown_run_or_revision_is_one_line(short, inside, run):
    code, said = inside(short, "reproduce", run)
    assert code == 2
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert run in said


def test_an_interrupted_reproduction_leaves_nothing_and_a_killed_one_a_checkout_for_the_next_to_remove(short):
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process, left = begun(short)
        os.kill(process.pid, number)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == code
        wait_for_nobody(left)
        assert left.exists() == (number == signal.SIGKILL)
        if number == signal.SIGINT:
            assert said == "interrupted; the checkout is removed, and the same command begins anew\n"
    assert "equal to the bit" in hone(short, "verify", "--until", "ingest")
    assert not left.exists()


def begun(project) -> tuple[subprocess.Popen[str], Path]:
    """Return a reproduction whose first stage is at work, and the folder of its checkout."""
    process = subprocess.Popen(
        ["python", "-m", "flows.reproduce", "HEAD"],
        cwd=project.root,
        env=dict(project.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    place = project.root / ".work" / "reproduce"
    deadline = time.monotonic() + 60
    while not list(place.glob("*/ingest.log")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    (left,) = place.glob("*")
    return process, left


def wait_for_nobody(folder: Path) -> None:
    """Fail unless no process works in a folder any more, soon."""
    deadline = time.monotonic() + 10
    while here := [link for link in Path("/proc").glob("[0-9]*/cwd") if is_below(link, folder)]:
        assert time.monotonic() < deadline, here
        time.sleep(0.1)


def is_below(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False
