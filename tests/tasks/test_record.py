"""What a run records, and what is no record: anybody may set a tag."""

import json
from pathlib import Path

import pytest

from hone.errors import UserError
from tasks import record
from tasks.params import Params
from tasks.tracking.mlflow import as_tags

MD5 = "0123456789abcdef0123456789abcdef"
OUTS = {"hone.outs.split": json.dumps({"data/split/train.parquet": MD5, "data/rows": f"{MD5}.dir"})}
DATA = {"data/raw/t.csv.dvc": [{"md5": MD5, "size": 3, "hash": "md5", "path": "t.csv"}]}


def test_what_is_recorded_is_read_back() -> None:
    found = record.parse("it", {**OUTS, "hone.data": json.dumps(DATA), "hone.packages": '{"torch": "2.9"}'})
    assert found.outs == {"split": json.loads(OUTS["hone.outs.split"])}
    assert found.data == DATA
    assert found.packages == {"torch": "2.9"}


@pytest.mark.parametrize(
    "tags",
    [
        {"hone.data": json.dumps({"/elsewhere/x.dvc": DATA["data/raw/t.csv.dvc"]})},
        {"hone.data": json.dumps({"../x.dvc": DATA["data/raw/t.csv.dvc"]})},
        {"hone.data": json.dumps({"params.yaml": DATA["data/raw/t.csv.dvc"]})},
        {"hone.data": json.dumps({"t.csv.dvc": [{"md5": MD5, "path": "../../t.csv"}]})},
        {"hone.data": json.dumps({"tasks/x.dvc": [{"md5": MD5, "path": "__init__.py"}]})},
        {"hone.data": json.dumps({"data/x.dvc": [{"md5": MD5, "path": "x/y.csv"}]})},
        {"hone.data": json.dumps({"tasks/.dvc": [{"md5": MD5, "path": "."}]})},
        {"hone.data": json.dumps({"tasks/..dvc": [{"md5": MD5, "path": "."}]})},
        {"hone.data": json.dumps({"t.csv.dvc": [{"md5": MD5, "path": "t.csv", "remote": "theirs"}]})},
        {"hone.data": json.dumps({"t.csv.dvc": [{"md5": "../x", "path": "t.csv"}]})},
        {"hone.data": json.dumps({"t.csv.dvc": "all of it"})},
        {"hone.data": "[]"},
        {"hone.packages": '["torch"]'},
        {"hone.outs.split": json.dumps({"/etc/x": MD5})},
        {"hone.outs.split": json.dumps({"a/../../x": MD5})},
        {"hone.outs.split": json.dumps({"x": "no hash"})},
        {"hone.outs.split": "7"},
    ],
)
def test_what_hone_never_wrote_is_refused(tags: dict[str, str]) -> None:
    with pytest.raises(UserError, match="which Hone never wrote there"):
        record.parse("it", {**OUTS, **tags})


def test_of_a_dvc_file_only_what_brings_the_version_back_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/t.csv").write_text("x")
    outs = f"outs:\n- {{md5: {MD5}, size: 3, hash: md5, path: t.csv, desc: mine, meta: {{at: 2024-01-01}}}}\n"
    (tmp_path / "data/raw/t.csv.dvc").write_text(outs)
    params = Params().model_copy(update={"data": Params().data.model_copy(update={"source": "data/raw/t.csv"})})
    assert record.tracked(tmp_path, params) == DATA
    assert record.parse("it", {**OUTS, **as_tags(record.surroundings(tmp_path, params))}).data == DATA


def test_of_a_dvc_file_that_tracks_what_does_not_lie_beside_it_nothing_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x")
    (tmp_path / "t.csv.dvc").write_text(f"outs:\n- {{md5: {MD5}, path: t.csv}}\n- {{md5: {MD5}, path: other.csv}}\n")
    params = Params().model_copy(update={"data": Params().data.model_copy(update={"source": "t.csv"})})
    assert record.tracked(tmp_path, params) == {}
