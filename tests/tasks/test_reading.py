"""What people's tables are in, and how they are written: read, or refused with the command that mends it."""

import bz2
import gzip
import io
import lzma
import shutil
import subprocess
import zipfile

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.feather
import pytest

from hone.data import cells
from hone.errors import UserError
from tasks import pictures, predict, sources, split, tables
from tasks.params import parse_params
from tasks.tables import delimited, parts, words
from tests.tasks.small_model import raw_rows

CSV = "a,b\n1,x\n2,y\n"
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def of(write):
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def stream(frame):
    file = io.BytesIO()
    table = pa.Table.from_pandas(frame)
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def zstandard(content):
    return pa.compress(content, "zstd", asbytes=True)


KINDS = {
    "t.tsv": CSV.replace(",", "\t").encode(),
    "t.csv.gz": gzip.compress(CSV.encode()),
    "t.csv.bz2": bz2.compress(CSV.encode()),
    "t.csv.xz": lzma.compress(CSV.encode()),
    "t.tsv.zst": zstandard(CSV.replace(",", "\t").encode()),
    "t.jsonl": b'{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2}\n',
    "t.ndjson.gz": gzip.compress(b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'),
    "t.parquet": of(FRAME.to_parquet),
    "t.feather": of(FRAME.to_feather),
    "t.arrow": stream(FRAME),
    "t.zip": zipped(readme__txt="hello", folder__csv=CSV),
    "parquet.zip": zipped(t__parquet=of(FRAME.to_parquet)),
    "utf8.csv": "\ufeff".encode() + CSV.encode(),
    "utf16.csv": CSV.encode("utf-16"),
    "utf16le.csv": CSV.encode("utf-16-le"),
    "utf16be.csv": CSV.encode("utf-16-be"),
    "pipes.csv": CSV.replace(",", "|").encode(),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_is_the_same_table_whole_and_in_pieces(tmp_path, name):
    (tmp_path / name).write_bytes(KINDS[name])
    pd.testing.assert_frame_equal(tables.read_table(tmp_path / name), FRAME)
    pieces = list(tables.read_pieces(tmp_path / name, 1))
    assert [len(piece) for piece in pieces] == [1, 1]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), FRAME)
    assert not pictures.are_at(tmp_path / name)


def test_a_workbook_is_the_table_of_its_first_sheet(tmp_path):
    pytest.importorskip("openpyxl")
    frame = FRAME.assign(day=pd.to_datetime(["2024-01-05", None]), mixed=[1, "two"], gap=["NA", 3.5], id=["007", "1"])
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        frame.to_excel(book, sheet_name="data", index=False, startrow=2)
        FRAME.to_excel(book, sheet_name="notes")
    told = []
    found = tables.read_table(tmp_path / "t.xlsx", tell=told.append)
    assert [line["message"] for line in told] == [f"{tmp_path}/t.xlsx: the first of 2 sheets is read, 'data'"]
    assert {name: cells.texts(found[name]).tolist() for name in ("a", "b", "mixed", "gap", "id")} == {
        "a": ["1", "2"],
        "b": ["x", "y"],
        "mixed": ["1", "two"],
        "gap": [None, "3.5"],
        "id": ["007", "1"],
    }
    assert found["gap"].dtype.kind == "f"
    assert found["day"].dt.year.tolist()[0] == 2024
    FRAME.to_excel(tmp_path / "rows.xlsx", index=False, header=False)
    list(tables.read_pieces(tmp_path / "t.xlsx", 1))


def test_a_workbook_without_openpyxl_names_the_package(tmp_path, monkeypatch):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(UserError, match="pip install openpyxl"):
        tables.read_table(tmp_path / "t.xlsx")


def test_json_lines_keep_their_types_and_a_key_that_a_row_lacks_is_missing(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"zip": "007", "n": 1, "on": true}\n{"zip": "8", "n": null, "more": [1]}\n{"n": 2e3, "zip": 5}\n')
    found = tables.read_table(path)
    assert list(found) == ["zip", "n", "on", "more"]
    assert found["zip"].tolist() == ["007", "8", "5"]
    assert found["n"].fillna(-1).tolist() == [1, -1, 2000]
    assert cells.is_nested(found["more"])


def test_a_folder_of_parts_is_one_table(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / "1.csv").write_text("zip,price\n00701,1\n")
    (folder / "2.csv").write_text("zip,price\n10115,2\n7,3\n")
    told = []
    found = tables.read_table(folder, tell=told.append)
    assert found.to_dict("list") == {"zip": ["00701", "10115", "7"], "price": [1, 2, 3]}
    assert told[0]["message"].endswith("parts: 2 files are read as one table")
    pieces = list(tables.read_pieces(folder, 2))
    assert [piece["zip"].tolist() for piece in pieces] == [["00701", "10115"], ["7"]]
    (folder / "2.csv").write_text("zip,cost\n10115,2\n")
    with pytest.raises(UserError, match=r"2\.csv lacks column 'price' of 1\.csv; the parts of a table"):
        tables.read_table(folder)


@pytest.mark.parametrize(
    ("name", "pack"),
    [("t.csv.gz", gzip.compress), ("t.csv.xz", lzma.compress), ("t.csv.zst", zstandard), ("t.csv.bz2", bz2.compress)],
)
def test_what_unpacks_to_far_more_than_its_size_is_refused_if_it_is_large(tmp_path, monkeypatch, name, pack):
    monkeypatch.setattr(parts, "INFLATES_FREELY", 1 << 21)
    small, large = (b"a,b\n" + b"1,x\n" * n_rows for n_rows in (1 << 18, 1 << 20))
    (tmp_path / name).write_bytes(pack(small))
    assert len(tables.read_table(tmp_path / name)) == 1 << 18
    (tmp_path / name).write_bytes(pack(large))
    with pytest.raises(UserError, match="over 100 times its size; unpack it yourself"):
        tables.read_table(tmp_path / name)


def test_a_link_to_a_folder_among_the_parts_is_refused_by_its_name(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "more").mkdir()
    for folder in ("parts", "more"):
        (tmp_path / folder / f"{folder}.csv").write_text(CSV)
    (tmp_path / "parts" / "linked.csv").symlink_to(tmp_path / "more" / "more.csv")  # as DVC may link files
    assert len(tables.read_table(tmp_path / "parts")) == 4
    (tmp_path / "parts" / "sub").symlink_to(tmp_path / "more")
    with pytest.raises(UserError, match="parts: 'sub' is a link to a folder; put the folder itself there"):
        tables.read_table(tmp_path / "parts")


def test_folders_named_like_a_column_are_one(tmp_path):
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        pd.DataFrame({"a": [year, 1]}).to_parquet(tmp_path / f"year={year}" / "part-0.parquet")
    expected = {"a": [2023, 1, 2024, 1], "year": [2023, 2023, 2024, 2024]}
    assert tables.read_table(tmp_path).to_dict("list") == expected
    pieces = list(tables.read_pieces(tmp_path, 3))
    assert [len(piece) for piece in pieces] == [3, 1]
    assert pd.concat(pieces).to_dict("list") == expected


def months(folder, numbers):
    for number in numbers:
        (folder / f"month={number}").mkdir(parents=True)
        pd.DataFrame({"a": range(10), "y": ["u", "v"] * 5}).to_parquet(folder / f"month={number}" / "part-0.parquet")


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_folders_of_months_are_text_in_all_parts_or_numbers_in_all(tmp_path, ending):
    months(tmp_path / "data" / "raw" / "months", [f"{month:02}" for month in range(1, 13)])
    months(tmp_path / "plain", range(1, 13))
    for folder in (tmp_path / "data" / "raw" / "months", tmp_path / "plain"):
        for part in folder.rglob("*.parquet") if ending == "csv" else ():
            pd.read_parquet(part).to_csv(part.with_suffix(".csv"), index=False)
            part.unlink()
    found = tables.read_table(tmp_path / "data" / "raw" / "months")["month"]
    assert found.unique().tolist() == [f"{month:02}" for month in range(1, 13)]
    assert sorted(tables.read_table(tmp_path / "plain")["month"].unique()) == [*range(1, 13)]
    pieces = list(tables.read_pieces(tmp_path / "data" / "raw" / "months", 7))
    assert pd.concat(pieces)["month"].tolist() == found.tolist()
    checked = split.check(tmp_path, parse_params({"data": {"source": "data/raw/months", "target": "y"}}))
    assert split._storable(checked.frame).column("month").to_pylist() == found.tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("two.zip", zipped(train__csv=CSV, test__csv=CSV), r"holds 2 tables .*: `unzip -j \S+/two\.zip train\.csv`"),
        ("t.csv.bz2", b"a,b\n1,2\n", "does not unpack"),
        ("t.csv.xz", lzma.compress(CSV.encode() * 9)[:-9], "does not unpack"),
        ("t.csv.zst", zstandard(CSV.encode() * 9)[:-9], "does not unpack"),
        ("t.jsonl", b'{"a": 1}\n[2]\n', r"t\.jsonl, line 2 is no JSON object"),
        ("t.jsonl", b'{"a": 1}\n{"a"', r"t\.jsonl, line 2 is no JSON \("),
        ("t.jsonl", b'{"a": "\\ud83d"}\n', "line 1 has half of a character"),
        ("t.feather", b"ARROW1", "is no readable Arrow file"),
        (
            "t.sav",
            b"x",
            r"`pip install pyreadstat && python -c .*read_spss\('\S+/t\.sav'\)\.to_parquet\('\S+/t\.parquet'\)",
        ),
        ("t.dta", b"x", r"read_stata"),
        ("t.rds", b"x", r"`Rscript -e 'write\.csv\(readRDS\(\"\S+/t\.rds\"\), \"\S+/t\.csv\""),
        ("t.sqlite", b"x", r"`sqlite3 -header -csv \S+/t\.sqlite 'SELECT \* FROM TABLE' > \S+/t\.csv`"),
        ("t.mat", b"x", r"scipy\.io\.loadmat\('\S+/t\.mat'\)"),
        ("t.xls", b"x", r"`libreoffice --headless --convert-to xlsx \S+/t\.xls`"),
        ("$(rm t).sav", b"x", r"read_spss\('FILE\.sav'\)"),
        ("iris.csv", b"5.1,3.5,a\n4.9,3.0,b\n", r"iris\.csv has no header: its first line \('5\.1', '3\.5', 'a'\)"),
        ("t.csv", "a\ncaf\xe9\n".encode("latin1"), r"`iconv -f WINDOWS-1252 -t UTF-8 \S+/t\.csv > \S+/t\.utf8\.csv`"),
        ("t.csv", b"a\ncaf\x81\n", r"`iconv -f LATIN1 "),
        ("t.csv", "имя,кто\nда,я\n".encode("cp1251"), r"t\.csv is not UTF-8: .*`iconv -f WINDOWS-1252"),
        ("t.csv", bytes(range(256)) * 20, r"t\.csv does not look like text .*kinds of files that are read are \.csv, "),
        ("t.csv", b"a\0b\0\0\0\1\2\n", r"t\.csv does not look like text \(UTF-8, or UTF-16 with a byte order mark\); "),
        ("t.jsonl", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"t\.jsonl does not look like text"),
        (
            "t.csv",
            gzip.compress(CSV.encode(), mtime=0),
            r"it seems to be packed by gzip\. If so, rename it to end in \.csv\.gz",
        ),
        ("t.csv", zipped(t__csv=CSV), r"it seems to be a zip\. If so, rename it to end in \.zip"),
        ("t.csv", zipped(**{"xl/workbook__xml": "x"}), r"an Excel workbook\. If so, rename it to end in \.xlsx"),
        ("t.tsv", b"PAR1\x15\x04\x15\0\0\1", r"it seems to be a Parquet file\. If so, rename it to end in \.parquet"),
        ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", r"old Excel.* end in \.xls: Hone then says how to convert"),
    ],
)
def test_what_is_not_read_is_refused_with_the_remedy(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        tables.read_table(tmp_path / name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a,b\ncaf\xe9,1\nth\xe9,2\n".encode("latin1"), ["a", "b"]),
        (b"5.1,3.5,a\n4.9,3.0,b\n", ["c1", "c2", "c3"]),
        ("5.1;3.5;a\n4.9;3.0;b\n".encode("utf-16"), ["c1", "c2", "c3"]),
    ],
)
def test_the_command_in_the_message_mends_the_file_and_leaves_it_as_it_was(tmp_path, content, columns, ending):
    path = tmp_path / f"the table.{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    before = path.read_bytes()
    with pytest.raises(UserError) as refused:
        tables.read_table(path)
    command = str(refused.value).split("`")[1]
    subprocess.run(["bash", "-c", command], check=True, cwd=tmp_path)
    assert path.read_bytes() == before
    (mended,) = set(tmp_path.iterdir()) - {path}
    found = tables.read_table(mended)
    assert list(found) == columns
    assert len(found) == 2


def test_a_zip_is_closed_with_the_table_that_is_read_from_it(tmp_path):
    path = tmp_path / "t.zip"
    path.write_bytes(zipped(t__csv="a,b\n1,2\n3,4\n"))
    (part,) = parts.parts_of(path, "t.zip")
    with part.content() as file:
        assert file.read() == b"a,b\n1,2\n3,4\n"
    assert str(path) not in {opened.path for opened in psutil.Process().open_files()}


@pytest.mark.parametrize("place", ["zip", "folder", "download", "zipped download"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("content", ["a,b\ncaf\xe9,1\nth\xe9,2\n".encode("latin1"), b"5.1,3.5,a\n4.9,3.0,b\n"])
def test_the_command_for_a_file_in_a_zip_a_folder_or_a_download_can_be_run(tmp_path, place, ending, content):
    packed = gzip.compress(content) if ending.endswith("gz") else content
    here, data = tmp_path / "here", tmp_path / "data"
    if "download" in place:
        data = tmp_path.joinpath(*sources.DOWNLOADS, "123-abc")
    here.mkdir()
    data.mkdir(parents=True)
    if "zip" in place:
        path = data / "the z.zip"
        path.write_bytes(zipped(**{f"a folder/t [1].{ending}": packed, "readme.txt": "hello"}))
    elif place == "folder":
        path = data / "parts"
        (path / "x=1").mkdir(parents=True)
        (path / "x=1" / f"the t.{ending}").write_bytes(packed)
    else:
        path = data / f"the t.{ending}"
        path.write_bytes(packed)
    with pytest.raises(UserError) as refused:
        tables.read_table(path)
    said = str(refused.value)
    assert ("(download it yourself first" in said) == ("download" in place)
    assert ("the copy takes the place of that part" in said) == (place == "folder")
    if "download" in place:
        shutil.move(path, here / path.name)  # as it says
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    subprocess.run(["bash", "-c", said.split("`")[1]], check=True, cwd=here)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    (mended,) = set(after) - set(before)
    assert {file: after[file] for file in before} == before
    assert mended.parent == here
    assert len(tables.read_table(mended)) == 2


def test_of_several_tables_in_a_download_the_command_names_the_file_alone(tmp_path):
    folder = tmp_path.joinpath(*sources.DOWNLOADS, "123-abc")
    folder.mkdir(parents=True)
    (folder / "two.zip").write_bytes(zipped(train__csv=CSV, test__csv=CSV))
    with pytest.raises(UserError, match=r"`unzip -j two\.zip train\.csv` \(download it yourself first\)"):
        tables.read_table(folder / "two.zip")


EUROPEAN = "id;price;area;name\n1;3,14;1.234;a\n2;1.234,56;999;b\n3;;12.345;c\n"


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_decimal_commas_are_numbers_in_the_table_and_in_its_pieces(tmp_path, rows):
    path = tmp_path / "t.csv"
    path.write_text(EUROPEAN)
    told = []
    found = tables.read_table(path, tell=told.append)
    assert found["price"].tolist()[:2] == [3.14, 1234.56]
    assert found["area"].tolist() == [1234, 999, 12345]
    assert [line["message"] for line in told] == [
        "column 'price': read with decimal commas, e.g. '3,14' as 3.14",
        "column 'area': read with points between thousands, e.g. '1.234' as 1234; if that is wrong, write numbers as "
        "1234.5 in the file",
    ]
    pieces = pd.concat(list(tables.read_pieces(path, rows)), ignore_index=True)
    for name in found:
        assert cells.texts(pieces[name]).tolist() == cells.texts(found[name]).tolist()


def test_points_read_as_thousands_are_a_warning_of_their_own_also_of_rows_to_predict(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("price;lat\n100,5;48.100\n99,25;47.200\n")
    of_table, of_pieces = [], []
    tables.read_table(path, tell=of_table.append)
    list(tables.read_pieces(path, 9, None, of_pieces.append))
    assert of_table == of_pieces
    assert [(line["severity"], line["columns"]) for line in of_table] == [("info", ["price"]), ("warning", ["lat"])]
    assert "'48.100' as 48100; if that is wrong" in of_table[1]["message"]


SALARIES = "preis;gehalt\n0,05;45.000\n0,10;50.000\n1,50;60.000\n2,00;75.000\n3,25;900\n"


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("first", ["45.000", "40.000"])
def test_thousands_without_any_other_fraction_are_read_as_thousands(tmp_path, rows, first):
    path = tmp_path / "t.csv"
    path.write_text(SALARIES.replace("45.000", first))
    expected = [int(first[:2]) * 1000, 50_000, 60_000, 75_000, 900]
    told = []
    assert tables.read_table(path, tell=told.append)["gehalt"].tolist() == expected
    assert f"column 'gehalt': read with points between thousands, e.g. '{first}' as" in told[1]["message"]
    pieces = pd.concat(list(tables.read_pieces(path, rows)), ignore_index=True)
    assert pieces["gehalt"].tolist() == expected


def test_columns_that_cannot_hold_thousands_are_not_read_as_text_again(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("preis;gaps\n0,05;1\n0,10;\n")
    read, asked = delimited._read_csv, []
    monkeypatch.setattr(delimited, "_read_csv", lambda *args, **given: asked.append(given) or read(*args, **given))
    assert tables.read_table(path)["preis"].tolist() == [0.05, 0.1]
    assert not any(given.get("usecols") for given in asked)


NA = "alley,size,day,built\nNA,1,2024-01-01,None\nGrvl,NA,NA,x\n,3,2024-01-02,y\n"


def test_words_for_missing_are_gaps_in_text_or_values_as_params_say_and_it_is_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(NA)
    told = []
    found = tables.read_table(path, tell=told.append)
    assert found["alley"].fillna("gap").tolist() == ["gap", "Grvl", "gap"]
    assert [line["message"] for line in told] == [
        "column 'alley': 'NA' (1 cell) is read as missing; data.missing: [] keeps such words as values",
        "column 'day': 'NA' (1 cell) is read as missing",
        "column 'built': 'None' (1 cell) is read as a value",
    ]
    told.clear()
    found = tables.read_table(path, missing=[], tell=told.append)
    assert found["alley"].fillna("gap").tolist() == ["NA", "Grvl", "gap"]
    assert found["size"].fillna(-1).tolist() == [1, -1, 3]  # a column of numbers
    assert found["day"].isna().tolist() == [False, True, False]  # nor has a date a level
    assert [line["message"] for line in told][
        1
    ] == "columns 'alley', 'built': 'NA', 'None' (2 cells) are read as a value"
    found = tables.read_table(path, missing=["NA"])
    assert found["alley"].isna().tolist() == [True, False, True]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "xlsx"])
def test_words_for_missing_are_read_alike_from_every_kind_of_file(tmp_path, ending):
    if ending == "xlsx":
        pytest.importorskip("openpyxl")
    path = tmp_path / f"t.{ending}"
    frame = pd.DataFrame({"alley": ["NA", "Grvl", None], "size": ["1", "NA", "3"], "built": ["None", "x", "y"]})
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "jsonl":
        frame.assign(size=[1, "NA", 3]).to_json(path, orient="records", lines=True)
    else:
        frame.assign(size=[1, "NA", 3]).to_excel(path, index=False)
    told = []
    found = tables.read_table(path, tell=told.append)
    assert found["alley"].fillna("gap").tolist() == ["gap", "Grvl", "gap"]
    assert [line["message"].split(";")[0] for line in told] == [
        "column 'alley': 'NA' (1 cell) is read as missing",
        "column 'built': 'None' (1 cell) is read as a value",
    ]
    found = tables.read_table(path, missing=[])
    assert found["alley"].fillna("gap").tolist() == ["NA", "Grvl", "gap"]
    assert found["size"].fillna(-1).tolist() == [1, -1, 3]
    (piece,) = tables.read_pieces(path, 9, {"alley": frozenset({"NA", "Grvl"})})
    assert piece["alley"].fillna("gap").tolist() == ["NA", "Grvl", "gap"]


def checked(root, text, target, **data):
    place = root / "data" / "raw" / "t.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    return split.check(root, parse_params({"data": {"source": "data/raw/t.csv", "target": target, **data}}))


def test_a_class_called_na_is_kept_where_params_say_so(tmp_path):
    text = "x,region\n" + "".join(f"{i},{'NA' if i % 3 else 'EU'}\n" for i in range(60))
    with pytest.raises(UserError, match="is constant"):
        checked(tmp_path, text, "region")
    assert checked(tmp_path, text, "region", missing=[]).problem.classes == ("EU", "NA")
    assert set(words.WORDS) == set(parse_params({"data": {"missing": sorted(words.WORDS)}}).data.missing)
    with pytest.raises(UserError, match=r"data\.missing.*'\?'"):
        parse_params({"data": {"missing": ["?"]}})


@pytest.mark.parametrize(
    ("cells_of_y", "severity", "message"),
    [
        (["", *["u", "v"] * 50], "info", "1 of 101 rows has no value in 'y' (0.9 %), and is left out"),
        ([*[""] * 30, *["u", "v"] * 35], "warning", "30 of 100 rows have no value in 'y' (30 %), and are left out"),
        ([*["0"] * 190, *[f"{i}.5" for i in range(10)]], "warning", "95 % of rows have 0 in 'y'"),
        ([*["no"] * 190, *["yes"] * 10], "warning", "95 % of rows have 'no' in 'y'"),
    ],
)
def test_rows_without_a_target_and_a_value_that_most_rows_have_are_told(tmp_path, cells_of_y, severity, message):
    text = "x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells_of_y))
    (remark,) = checked(tmp_path, text, "y").remarks
    assert remark["severity"] == severity
    assert remark["message"].startswith(message)


def test_an_ordinary_table_is_read_without_a_word(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "n": range(60), "c": rng.choice(["a", "b, c"], 60)})
    frame["y"] = rng.choice(["no", "yes"], 60)
    assert checked(tmp_path, frame.to_csv(index=False), "y").remarks == ()


@pytest.mark.parametrize("ending", sources.ENDINGS)
def test_every_ending_has_a_reader(tmp_path, ending):
    (tmp_path / f"t{ending}").write_bytes(b"\x00broken")
    with pytest.raises(UserError, match=rf"t{ending}") as refused:
        tables.read_table(tmp_path / f"t{ending}")
    assert "of a kind that is not read" not in str(refused.value)


def test_a_model_predicts_what_it_would_of_the_plain_table(tmp_path):
    from tasks import model_store
    from tests.tasks import small_model

    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    rows = raw_rows(1)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    predict.predict(model, tmp_path / "rows.csv", tmp_path / "expected.csv")
    (tmp_path / "rows.jsonl").write_text(rows.to_json(orient="records", lines=True))
    (tmp_path / "rows.csv.xz").write_bytes(lzma.compress((tmp_path / "rows.csv").read_bytes()))
    (tmp_path / "parts").mkdir()
    rows[:50].to_parquet(tmp_path / "parts" / "1.parquet")
    rows[50:].to_parquet(tmp_path / "parts" / "2.parquet")
    for name in ("rows.jsonl", "rows.csv.xz", "parts"):
        predict.predict(model, tmp_path / name, tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes(), name
