"""Fingerprints change with what can change a result, and with nothing else."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from hone.errors import UserError
from tasks import pipeline

DVC = """
stages:
  one:
    cmd: python -m tasks.run one
    deps: [code.py, raw]
    params: [seed, data.source]
    outs: [one.parquet]
  two:
    cmd: python -m tasks.run two
    deps: [one.parquet, code.py]
    params: [search]
    metrics:
      - two.json: {cache: false}
"""
PARAMS = {"seed": 0, "data": {"source": "raw/table.csv"}, "search": {"a": 1}, "execution": {"workers": 1}}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "requirements.lock").write_text("torch==1\n")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "table.csv").write_text("a,b\n1,2\n")
    return tmp_path


def prints(root: Path, params: dict) -> tuple[str, ...]:
    stages = pipeline.specs(root)
    each = [pipeline.fingerprint(root, spec, params) for spec in stages.values()]
    return (*each, pipeline.pipeline_fingerprint(root, params, params["data"]["source"]))


def test_stages_come_in_order_with_all_their_outs(root):
    stages = pipeline.specs(root)
    assert list(stages) == ["one", "two"]
    assert stages["two"].outs == ("two.json",)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda root, params: params.update(seed=1), (True, False, True)),
        (lambda root, params: params.update(search={"a": 2}), (False, True, True)),
        (lambda root, params: params.update(execution={"workers": 9}), (False, False, False)),
        (lambda root, params: (root / "code.py").write_text("x = 2\n"), (True, True, True)),
        (lambda root, params: (root / "raw" / "table.csv").write_text("a,b\n1,3\n"), (True, False, True)),
        (lambda root, params: (root / "one.parquet").write_text("new"), (False, True, False)),
        (lambda root, params: (root / "requirements.lock").write_text("torch==2\n"), (False, False, True)),
        (lambda root, params: (root / "raw" / "table.csv").touch(), (False, False, False)),
    ],
)
def test_a_fingerprint_changes_with_what_it_depends_on(root, change, changed):
    params = {**PARAMS}
    before = prints(root, params)
    change(root, params)
    assert tuple(a != b for a, b in zip(before, prints(root, params), strict=True)) == changed


@pytest.mark.parametrize(
    ("folder", "name", "counts"),
    [
        ("warm_start", "new.parquet", True),
        ("warm_start", "README.md", False),
        ("warm_start", ".gitignore", False),
        ("warm_start", ".old.parquet.x3_k2abc", False),
        ("warm_start", "sub/new.parquet", False),
        ("start_from", "new.safetensors", True),
        ("start_from", "README.md", False),
    ],
)
def test_of_earlier_studies_and_weights_only_the_files_count_for_hone_and_dvc(root, folder, name, counts):
    (root / "dvc.yaml").write_text(DVC.replace("raw]", f"data/{folder}]"))
    (root / "data" / folder).mkdir(parents=True)
    (root / "data" / folder / f"old.{'parquet' if folder == 'warm_start' else 'safetensors'}").write_text("old")
    shutil.copy(Path(__file__).parents[2] / ".dvcignore", root)
    Repo.init(root, no_scm=True).close()

    def seen() -> list[str]:
        with Repo(root) as repo:
            return sorted(repo.dvcignore.find(repo.fs, str(root / "data")))

    before, seen_before = prints(root, PARAMS), seen()
    path = root / "data" / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("new")
    assert tuple(a != b for a, b in zip(before, prints(root, PARAMS), strict=True)) == (counts, False, counts)
    assert (seen() != seen_before) == counts


@pytest.mark.parametrize("text", ["stages: [", "{}", "stages: 3"])
def test_a_broken_dvc_yaml_is_named(root, text):
    (root / "dvc.yaml").write_text(text)
    with pytest.raises(UserError, match=r"dvc\.yaml: not a pipeline"):
        pipeline.specs(root)
