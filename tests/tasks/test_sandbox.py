"""Throw-away checkouts: of a commit, or of the working tree as it is, in which stages run outside of DVC."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from hone.errors import UserError
from tasks import record, rerun, sandbox, versioning
from tasks.record import Machine, Record
from tasks.reporting import NullReporter
from tasks.sandbox import Sandbox

PIPELINE = """
stages:
  first:
    cmd: mkdir -p out && cat data/t.csv code/a.txt > out/first.txt
    deps: [code, data]
    outs: [out/first.txt]
  evaluate:
    cmd: cp -r code artifacts/evaluate
    deps: [out/first.txt, code]
    params: [seed]
    outs: [artifacts/evaluate/evaluation.json]
"""
METRICS = {"tuned": {"accuracy": 0.9}, "intervals": {"tuned": {"accuracy": [0.88, 0.92]}}}


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def start(command: list[str], **options: Any) -> Iterator[Any]:
    with subprocess.Popen(command, **options) as process:
        yield process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with data that DVC tracks; run, and committed."""
    folder = tmp_path / "repository" / "below"
    (folder / "code").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "artifacts").mkdir()
    git(folder.parent, "init", "-q")
    Repo.init(str(folder), subdir=True).close()
    (folder / ".dvc" / "config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {tmp_path}/site\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 1 # a comment\ntracking:\n  wandb: ours\nexecution:\n  workers: 4096\n")
    (folder / "code" / "a.txt").write_text("a\n")
    (folder / "code" / "evaluation.json").write_text(json.dumps(METRICS))
    (folder / "artifacts" / ".keep").write_text("")
    (folder / ".gitignore").write_text(".work/\n/out/\n/artifacts/evaluate/\n")
    (folder / "data" / "t.csv").write_text("x\n1\n")
    versioning.track(folder, folder / "data" / "t.csv")
    subprocess.run(["dvc", "repro", "-q"], cwd=folder, check=True)
    git(folder.parent, "add", "-A")
    git(folder.parent, "commit", "-qm", "one")
    return folder


@pytest.fixture
def place(root: Path) -> Iterator[Sandbox]:
    with sandbox.opened(root, start) as opened:
        yield opened


def again(place: Sandbox, recorded: Record, **more: Any) -> rerun.Outcome:
    return rerun.rerun(place, versioning.plan(place.root), recorded, NullReporter(), **more)


def locked(place: Sandbox, **more: Any) -> Record:
    return Record(name="it", outs=rerun.locked(versioning.plan(place.root)), **more)


def test_hashes_are_those_of_dvc_for_files_and_folders(root: Path) -> None:
    folder = root / "pictures"
    (folder / "b" / "c").mkdir(parents=True)
    for name in ("z.txt", "b/a.txt", "b/c/ä.txt", "b-.txt"):
        (folder / name).write_text(name)
    for path in (folder, root / "code" / "a.txt"):
        git(root, "rm", "-q", "--cached", "--ignore-unmatch", str(path))
        assert f"md5: {record.md5(path)}\n" in versioning.track(root, path).read_text()
    assert record.md5(root / "nothing") is None


def test_a_commit_is_done_again_as_it_was_whatever_the_project_looks_like_now(root: Path, place: Sandbox) -> None:
    commit = sandbox.commit_of(root, "HEAD")
    assert commit is not None
    (root / "code" / "a.txt").write_text("edited\n")
    (root / "data" / "t.csv").write_text("x\n2\n")
    shutil.rmtree(root / "out")
    place.check_out(commit)
    place.put_data({}, ["data/t.csv"])
    outcome = again(place, locked(place))
    assert (outcome.ran, outcome.n_outs, outcome.differing) == (["first", "evaluate"], 2, {})
    assert (place.root / "out" / "first.txt").read_text() == "x\n1\na\n"
    assert not (root / "out").exists()


def test_data_comes_in_the_version_that_was_recorded_from_the_cache_or_the_remote(
    root: Path, place: Sandbox, tmp_path: Path
) -> None:
    (root / "data" / "t.csv").write_text("x\n2\n")
    versioning.refresh(root)
    newer = {"data/t.csv.dvc": yaml.safe_load((root / "data" / "t.csv.dvc").read_text())["outs"]}
    commit = str(sandbox.commit_of(root, "HEAD"))
    place.check_out(commit)
    place.put_data(newer, ["data/t.csv"])
    assert (place.root / "data" / "t.csv").read_text() == "x\n2\n"

    cache = root / ".dvc" / "cache"
    subprocess.run(
        ["dvc", "remote", "add", "-q", "-d", "--local", "here", str(tmp_path / "remote")], cwd=root, check=True
    )
    subprocess.run(["dvc", "push", "-q", "data/t.csv.dvc"], cwd=root, check=True)
    shutil.rmtree(cache)
    (place.root / "data" / "t.csv").unlink()
    place.put_data(newer, ["data/t.csv"])
    assert (place.root / "data" / "t.csv").read_text() == "x\n2\n"

    shutil.rmtree(cache)
    shutil.rmtree(tmp_path / "remote")
    (place.root / "data" / "t.csv").unlink()
    place.put_data(newer, ["data/other.csv"])  # what is not needed may be missing
    with pytest.raises(UserError, match=rf"data/t.csv: .*{newer['data/t.csv.dvc'][0]['md5']}.*`dvc push`") as error:
        place.put_data(newer, ["data/t.csv"])
    assert "\n" not in str(error.value)


def test_no_version_is_brought_of_what_params_do_not_name_or_git_tracks(root: Path, place: Sandbox) -> None:
    strange = root / "strange.txt"  # added once, so that it is in the cache
    strange.write_text("run me\n")
    (out,) = yaml.safe_load(versioning.track(root, strange).read_text())["outs"]
    place.check_out("HEAD")
    (place.root / "loose.txt").write_text("of params, but no data\n")

    def put(name: str, needed: list[str], source: str = "") -> None:
        place.put_data({f"{name}.dvc": [{**out, "path": Path(name).name}]}, needed, source)

    put("code/a.txt", ["data/t.csv"])
    put("data/dvc.yaml", ["data/t.csv"])
    put("loose.txt", ["data/t.csv", "loose.txt"], "data/t.csv")
    assert not (place.root / "data" / "dvc.yaml").exists()
    assert (place.root / "loose.txt").read_text() == "of params, but no data\n"
    for name, source in (("code/a.txt", "code/a.txt"), ("code", "code/b.csv"), ("data", "data/t.csv")):
        with pytest.raises(UserError, match=f"^{name}: git tracks it at that commit"):
            put(name, [source], source)
    assert (place.root / "code" / "a.txt").read_text() == "a\n"
    assert not list(place.root.rglob("code*.dvc"))
    put("loose.txt", ["loose.txt"], "loose.txt")
    put("data/new.csv", ["data/new.csv"])
    for name in ("loose.txt", "data/new.csv"):
        assert (place.root / name).read_text() == "run me\n"


def test_the_working_tree_is_copied_with_what_is_changed_new_and_deleted_and_without_what_is_ignored(
    root: Path, place: Sandbox
) -> None:
    (root / "code" / "a.txt").write_text("edited\n")
    (root / "code" / "new.txt").write_text("new\n")
    (root / "code" / "link.txt").symlink_to("a.txt")
    (root / "code" / "evaluation.json").unlink()
    (root.parent / "beside.txt").write_text("of the repository, not of the project")
    place.copy_tree([])
    files = [p.relative_to(place.root) for p in place.root.rglob("*") if p.is_file()]
    found = {path.as_posix() for path in files if path.parts[0] not in (".dvc", ".work")}  # DVC's own
    assert found == {
        "code/a.txt", "code/new.txt", "code/link.txt", "data/t.csv", "data/t.csv.dvc", "data/.gitignore",
        "artifacts/.keep", "dvc.yaml", "dvc.lock", "params.yaml", ".gitignore", ".dvcignore",
    }  # fmt: skip
    assert (place.root / "code" / "link.txt").read_text() == "edited\n"
    assert (place.root.parent / "beside.txt").exists()


def test_tracking_is_off_in_the_checkout_and_its_workers_fit_the_machine(root: Path, place: Sandbox) -> None:
    place.copy_tree([])
    assert place.settle_params()["tracking"] == {"wandb": "ours"}
    assert (place.root / "params.yaml").read_text() == (
        "seed: 1 # a comment\ntracking:\n  wandb:\n  uri: none\nexecution:\n  workers: auto\n"
    )
    assert "ours" in (root / "params.yaml").read_text()


def test_a_stage_that_fails_is_said_in_a_line_with_the_last_it_printed(root: Path, place: Sandbox) -> None:
    (root / "code" / "evaluation.json").unlink()
    place.copy_tree([])
    (stage, last) = versioning.plan(place.root)
    with pytest.raises(UserError, match=r"^evaluate: did not write artifacts/evaluate/evaluation.json$"):
        place.run_stage(last)
    with pytest.raises(UserError, match=r"first: `echo error: no; false` ended with 1 .*\(error: no\)"):
        place.run_stage(replace(stage, commands=("echo error: no; false",)))


def test_a_commit_that_was_edited_after_its_lock_file_says_what_was(root: Path, place: Sandbox) -> None:
    (root / "code" / "a.txt").write_text("edited\n")
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 1", "seed: 2"))
    git(root, "commit", "-qam", "edited, and not run")
    place.check_out("HEAD")
    assert {path for stage in versioning.plan(place.root) for path in stage.edited} == {"code", "seed"}


def test_what_killed_processes_left_is_removed_and_what_was_to_be_kept_and_what_is_at_work_is_not(root: Path) -> None:
    with sandbox.opened(root, start, keep=True) as kept:
        pass
    left = root / sandbox.FOLDER / "left"
    left.mkdir()
    (left / sandbox.LOCK).write_text("")
    with sandbox.opened(root, start) as one, sandbox.opened(root, start) as other:
        assert {p.name for p in left.parent.iterdir()} == {kept.folder.name, one.folder.name, other.folder.name}
    assert list(left.parent.iterdir()) == [kept.folder]


def test_outside_of_git_it_cannot_be_done(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be in git"), sandbox.opened(tmp_path, start):
        pass


HERE = Machine("This", "AVX2", "cpu")


class Saying(NullReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("machine", "accuracy", "code", "said"),
    [
        (HERE, 0.9, rerun.DIFFERS, "differs: it, from evaluate on"),
        (Machine("Other", "AVX2", "cpu"), 0.91, rerun.EQUAL, "within the tolerances above, and not to the bit"),
        (Machine("This", "AVX-512", "cpu"), 0.95, rerun.DIFFERS, "differs: it, from evaluate on"),
        (None, 0.91, rerun.DIFFERS, "differs: it, from evaluate on"),
    ],
)
def test_on_another_processor_the_final_numbers_decide(
    root: Path, place: Sandbox, machine: Machine | None, accuracy: float, code: int, said: str
) -> None:
    place.copy_tree([])
    recorded = locked(place, machine=machine, packages={"torch": "2.0+cpu", "numpy": "1"})
    content = {**METRICS, "tuned": {"accuracy": accuracy}, "findings": []}
    (place.root / "code" / "evaluation.json").write_text(json.dumps(content))
    reporter, plan = Saying(), versioning.plan(place.root)
    outcome = again(place, recorded, to_the_end=rerun.elsewhere(recorded, HERE))
    packages = {"torch": "2.0", "numpy": "2"}
    assert rerun.verdict(place, plan, recorded, outcome, reporter, here=HERE, packages=packages) == code
    assert said in reporter.said[-1]
    assert any("artifacts/evaluate/evaluation.json: findings is not recorded" in line for line in reporter.said)
    assert "numpy was 1 and is 2 here" in reporter.said
    assert any("processor" in line for line in reporter.said) == (machine != HERE)


@pytest.mark.parametrize(("keep", "said"), [(False, "is removed"), (True, "stays in reproduce/")])
def test_an_interruption_says_what_becomes_of_the_checkout(root: Path, keep: bool, said: str) -> None:
    with pytest.raises(KeyboardInterrupt, match=said), sandbox.opened(root, start, keep=keep):
        raise KeyboardInterrupt
    assert len(list((root / sandbox.FOLDER).iterdir())) == keep


def test_an_old_commits_files_that_no_parser_takes_are_named(root: Path, place: Sandbox) -> None:
    place.copy_tree([])
    (place.root / "params.yaml").write_text("seed: 1\nseed: 2\n")
    with pytest.raises(UserError, match=r"params\.yaml: cannot be read"):
        place.settle_params()
    (place.root / "data" / "t.csv.dvc").write_text("outs: [")
    with pytest.raises(UserError, match=r"data/t\.csv\.dvc: cannot be read"):
        place.put_data({"data/t.csv.dvc": [{"path": "t.csv"}]}, ["data/t.csv"])
