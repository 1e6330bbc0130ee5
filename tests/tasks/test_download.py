"""Tables from addresses: what the file is called, what is refused, and that no password is shown or stored."""

import errno
import io
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from hone.errors import UserError
from tasks import download, sources, tables
from tests.tasks.stores import serving

CSV = b"a,b\n1,x\n2,y\n"
NOT_OURS = {"http_proxy": "", "HTTP_PROXY": "", "no_proxy": "127.0.0.1"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOT_OURS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/data/shop.csv", {}, "shop.csv"),
        ("/data/shop.CSV?token=secret", {}, "shop.CSV"),
        ("/the%20shop.csv", {}, "the shop.csv"),
        ("/export?format=csv", {"Content-Type": "text/csv; charset=utf-8"}, "export.csv"),
        ("/export", {"Content-Disposition": 'attachment; filename="../../etc/shop.csv"'}, "shop.csv"),
    ],
)
def test_a_table_is_fetched_and_called_as_its_address_or_its_server_says(
    tmp_path: Path, path: str, headers: dict[str, str], name: str
) -> None:
    with serving({path.partition("?")[0]: (CSV, headers)}) as (host, _):
        with download.fetched(tmp_path, f"http://{host}{path}") as file:
            assert file.name == name
            assert file.parent.parent == tmp_path / ".work" / "downloads"
            assert tables.read_table(file)["b"].tolist() == ["x", "y"]
        assert not file.exists()


def test_a_password_goes_to_the_server_and_into_no_message(tmp_path: Path) -> None:
    with serving({"/t.csv": (CSV, {})}) as (host, asked):
        with download.fetched(tmp_path, f"http://me:se%40cret@{host}/t.csv"):
            pass
        assert asked == [("/t.csv", "Basic bWU6c2VAY3JldA==")]
        with (
            pytest.raises(UserError, match="answers 404") as refused,
            download.fetched(tmp_path, f"http://me:secret@{host}/no.csv"),
        ):
            pass
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "content", "headers", "said"),
    [
        ("/page", b"<html>", {"Content-Type": "text/html"}, "is a web page and no table"),
        ("/t.sav", b"$FL2", {}, r"convert it: `pip install pyreadstat && .*read_spss"),
        ("/t.csv", CSV, {"Content-Length": "many"}, "Content-Length is no number"),
        ("/t.csv", CSV, {"Content-Length": "99"}, "broke off after 12 of 99 bytes"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, path: str, content: bytes, headers: dict[str, str], said: str
) -> None:
    with (
        serving({path: (content, headers)}) as (host, _),
        pytest.raises(UserError, match=said),
        download.fetched(tmp_path, f"http://{host}{path}"),
    ):
        pass
    assert not (tmp_path / ".work" / "downloads").exists()


def test_a_file_of_a_store_whose_name_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    class Store:
        def __init__(self, *names: str) -> None:
            self.names = names

        def get_file_info(self, _: object) -> list[object]:
            return [SimpleNamespace(path=name, is_file=True) for name in self.names]

        def open_input_stream(self, _: str) -> io.BytesIO:
            return io.BytesIO(CSV)

    place = tmp_path / "a" / "b" / "dir"
    place.parent.mkdir(parents=True)
    for evil in ("bucket/dir/../../evil.csv", "bucket/dir//evil.csv", "/evil.csv", "bucket/other/evil.csv"):
        with pytest.raises(UserError, match="leads out of the folder"):
            download._copy_folder(Store("bucket/dir/1.csv", evil), "bucket/dir", place, "s3://bucket/dir")
    assert [path.name for path in tmp_path.rglob("*.csv")] == []
    download._copy_folder(Store("bucket/dir/x=1/1.csv"), "bucket/dir/", place, "s3://bucket/dir")
    assert (place / "x=1" / "1.csv").read_bytes() == CSV


def test_two_downloads_at_once_have_a_folder_each_and_those_of_dead_commands_go(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = tmp_path / ".work" / "downloads" / f"{dead.pid}-x"
    left.mkdir(parents=True)
    with serving({"/t.csv": (CSV, {})}) as (host, _), download.fetched(tmp_path, f"http://{host}/t.csv") as first:
        with download.fetched(tmp_path, f"http://{host}/t.csv") as second:
            assert first != second
        assert first.read_bytes() == CSV
        assert not left.exists()


def test_a_query_is_quoted_and_a_long_name_is_cut_by_bytes(tmp_path: Path) -> None:
    name = "é" * 250 + ".csv"
    with serving({f"/{'%C3%A9' * 250}.csv": (CSV, {}), "/t.csv": (CSV, {})}) as (host, _):
        with download.fetched(tmp_path, f"http://{host}/t.csv?q=é&r=a b") as file:
            assert file.read_bytes() == CSV
        with download.fetched(tmp_path, f"http://{host}/{name}") as file:
            assert file.name.endswith("é.csv")
    assert download._request("http://h/t.csv?q=é a%20b").full_url == "http://h/t.csv?q=%C3%A9%20a%20b"


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.shutil, "copyfileobj", full)
    with (
        serving({"/t.csv": (CSV, {})}) as (host, _),
        pytest.raises(UserError, match=r"cannot be written .*No space left on device.*; free some disk space"),
        download.fetched(tmp_path, f"http://{host}/t.csv"),
    ):
        pass


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"cannot be fetched .*refused.*check the address and the network"),
        download.fetched(tmp_path, "http://127.0.0.1:9/t.csv"),
    ):
        pass


def test_a_file_and_a_folder_of_parts_come_from_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    files = {f"/bucket/{name}": (CSV, {}) for name in ("t.csv", "parts/1.csv", "parts/2.csv")}
    with serving(files) as (host, asked):
        where = f"endpoint_override={host}&scheme=http&region=us-east-1"
        with download.fetched(tmp_path, f"s3://bucket/t.csv?{where}") as file:
            assert file.name == "t.csv"
            assert file.read_bytes() == CSV
        with download.fetched(tmp_path, f"s3://bucket/parts?{where}") as folder:
            assert tables.read_table(folder)["a"].tolist() == [1, 2, 1, 2]
        with (
            pytest.raises(UserError, match="there is no such file or folder"),
            download.fetched(tmp_path, f"s3://bucket/nothing.csv?{where}"),
        ):
            pass
    assert any("Credential=a/" in str(key) for _, key in asked)


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("postgresql://user:secret@host/db", r"psql 'postgresql://\*\*\*@host/db'"),
        ("postgresql+psycopg2://user:se/cr@secret@host/db", r"psql 'postgresql://\*\*\*@host/db'"),
        ("mysql://user:secret@host/db", "mysql --host HOST"),
        ("gs://bucket/t.csv", r"`gcloud storage cp gs://bucket/t\.csv \.`"),
        ("gs://bucket/it's.csv", r"""`gcloud storage cp 'gs://bucket/it'"'"'s\.csv' \.`"""),
        *((f"postgresql://user:se{sign}cret@host/db", r"psql 'postgresql://\*\*\*@host/db'") for sign in "'\"<> `"),
        ("mongodb://user@host/db?authSource=x&password=it's secret", r"mongoexport --uri 'mongodb://\*\*\*@host/db\?"),
        ("odd://user:secret@host", "save the table as .csv first"),
    ],
)
def test_an_address_that_is_not_fetched_is_refused_with_the_command_that_exports_it(address: str, command: str) -> None:
    for check in (sources.check, lambda source: sources.locate(Path("/project"), source)):
        with pytest.raises(UserError, match=command) as refused:
            check(address)
        assert "secret" not in str(refused.value)
        assert "cret" not in str(refused.value)


def test_an_address_as_source_is_refused_with_a_command_that_can_be_run_and_without_its_secrets() -> None:
    address = "https://user:se'cret@host/a b.csv?sv=1&sig=se'cret"
    with pytest.raises(UserError, match="no file of the project") as refused:
        sources.locate(Path("/project"), address)
    assert "cret" not in str(refused.value)
    assert "`hone add 'https://***@host/a b.csv?sv=1&sig=***'` (with your password for ***)" in str(refused.value)
