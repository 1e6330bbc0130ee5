"""`hone add`: a table becomes the project's data, and nothing else changes."""

import errno
import lzma
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from flows import cli
from flows.add import add
from flows.check import check
from hone.errors import UserError
from tasks import plain_yaml, split
from tasks.params import load_params
from tasks.params_file import set_params
from tasks.reporting import PlainReporter
from tests.flows.editing import HERE
from tests.tasks.stores import serving


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "houses.csv"
    rows = (f"{i},{i % 7},{3 * i + i % 5}\n" for i in range(60))
    path.write_text("rooms,area,price\n" + "".join(rows))
    return path


def everything(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".git", ".work", "tmp"} & set(path.relative_to(root).parts)
    }


def test_a_table_is_copied_tracked_and_named_and_the_rest_of_params_stays(project: Path, table: Path) -> None:
    before = (project / "params.yaml").read_text().splitlines()
    assert add(project, table, "price") == project / "data" / "raw" / "houses.csv"
    assert (project / "data" / "raw" / "houses.csv").read_bytes() == table.read_bytes()
    assert (project / "data" / "raw" / "houses.csv.dvc").exists()
    params = load_params(project)
    assert (params.data.source, params.data.target) == ("data/raw/houses.csv", "price")
    assert split.check(project, params).problem.task == "regression"
    after = (project / "params.yaml").read_text().splitlines()
    changed = [(old.split(":")[0].strip(), new) for old, new in zip(before, after, strict=True) if old != new]
    assert [key for key, _ in changed] == ["source", "target"]
    assert all("#" in line for _, line in changed)  # the comments are still there


def test_the_real_params_survive_a_rewrite_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (HERE / "params.yaml").read_text()
    path.write_text(text)
    set_params(path, {"source": "sklearn:digits"})
    assert path.read_text() == text


@pytest.mark.parametrize(
    "name", ["yes", "no", "On", "off", "y", "null", "true", "12:30", "1e3", "017", "1_000", ".5", "="]
)
def test_a_column_that_yaml_has_another_word_for_stays_a_text(name: str, project: Path, table: Path) -> None:
    table.write_text(table.read_text().replace("price", name))
    add(project, table, name)
    assert load_params(project).data.target == name
    before = everything(project)
    add(project, table, None)
    assert everything(project) == before


def test_texts_in_lists_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("data:\n  drop: []\n")
    set_params(path, {"drop": ["on", "id"], "ordered": ["12:30"]})
    assert plain_yaml.parse(path.read_text()) == {"data": {"drop": ["on", "id"], "ordered": ["12:30"]}}


def test_adding_again_is_no_change_and_a_table_in_place_stays_there(project: Path, table: Path) -> None:
    place = add(project, table, "price")
    before = everything(project)
    add(project, table, "price")
    add(project, place, None)
    assert everything(project) == before


def test_another_file_of_the_same_name_is_not_overwritten(project: Path, table: Path) -> None:
    add(project, table, "price")
    before = everything(project)
    table.write_text("rooms,area,price\n1,2,3\n")
    with pytest.raises(UserError, match=r"^data/raw/houses.csv: there is another file of this name"):
        add(project, table, "price")
    assert everything(project) == before


@pytest.mark.parametrize(
    ("content", "target", "said"),
    [
        ("a,b\n1,2\n", "c", "--target"),
        ("a,price\n1,2\n", "prize", "price"),
        ("a,b\n1,2\n", None, "--target: not given"),
        ("a,b\n1,2,3\n", "a", "line 2"),
        ("", "a", "empty"),
        ("a,b\n", "a", "header only"),
    ],
)
def test_a_table_that_cannot_be_used_leaves_everything_as_it_was(
    content: str, target: str | None, said: str, project: Path, tmp_path: Path
) -> None:
    table = tmp_path / "broken.csv"
    table.write_text(content)
    before = everything(project)
    with pytest.raises(UserError, match=said):
        add(project, table, target)
    assert everything(project) == before


def test_a_missing_table_is_named(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.csv"):
        add(project, tmp_path / "nothing.csv", "a")


@pytest.mark.parametrize(
    ("command", "typed"),
    [("add", "nothing.csv"), ("add", "../data/nothing.csv"), ("add", "../data/bytes.csv"), ("predict", "../no.csv")],
)
def test_a_path_is_shown_as_it_was_typed(
    command: str, typed: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bytes.csv").write_bytes(bytes(100))
    assert cli.main([command, typed]) == 2
    shown = capsys.readouterr().err
    assert f" {typed}" in shown
    assert str(tmp_path) not in shown


def test_a_path_below_the_root_is_absolute_and_without_dots(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "hone" / "data")
    assert cli.main(["add", "../nothing.csv"]) == 2
    assert f" {project}/hone/nothing.csv: there is no such file" in capsys.readouterr().err


FORMER = {
    "data": {"drop": ["rooms"], "kinds": {"area": "categorical"}, "missing": []},
    "split": {"method": "grouped", "group": "area"},
}


def test_all_settings_of_the_former_table_that_do_not_fit_are_named_at_once(
    project: Path, table: Path, tmp_path: Path
) -> None:
    add(project, table, "price")
    for section, values in FORMER.items():
        set_params(project / "params.yaml", values, section)
    before = everything(project)
    other = tmp_path / "loans.csv"
    other.write_text("amount,rooms,late\n" + "".join(f"{i % 9},{i % 4},{'yno'[i % 2]}\n" for i in range(80)))
    with pytest.raises(UserError) as refused:
        add(project, other, "late")
    assert str(refused.value) == (
        "params.yaml still holds settings of the former table data/raw/houses.csv that do not fit loans.csv, where "
        "there are no such columns to learn from: data.kinds: 'area'; split.group: 'area' (then set split.method: "
        "auto, in place of grouped). Remove them from params.yaml, and add it again"
    )
    with pytest.raises(UserError, match=r"loans\.csv, .*: data\.drop: 'rooms'; data\.kinds: 'area'; split\.group: "):
        add(project, other, "rooms")
    with pytest.raises(UserError, match=r"do not fit pets, .*: data\.drop: 'rooms'; data\.kinds: 'area'; split"):
        add(project, pictures(tmp_path / "pets"), None)
    assert everything(project) == before
    set_params(project / "params.yaml", {"kinds": {}})
    set_params(project / "params.yaml", {"method": "auto", "group": None}, "split")
    add(project, other, "late")
    data = load_params(project).data
    assert (data.source, data.drop, data.missing) == ("data/raw/loans.csv", ["rooms"], [])


def test_settings_that_were_written_before_the_first_table_are_not_called_a_former_one_s(
    project: Path, table: Path
) -> None:
    set_params(project / "params.yaml", {"drop": ["room"]})
    add(project, table, "price")
    with pytest.raises(UserError, match=r"^data\.drop: there is no column 'room'; did you mean 'rooms'\? If not, "):
        check(project, PlainReporter())


def test_what_dvc_refuses_is_undone(project: Path, table: Path) -> None:
    (project / ".gitignore").write_text("*.dvc\n")  # DVC refuses to write a .dvc file that git ignores
    before = everything(project)
    with pytest.raises(UserError, match="git-ignored"):
        add(project, table, "price")
    assert {name: text for name, text in everything(project).items() if not name.startswith(".dvc/")} == {
        name: text for name, text in before.items() if not name.startswith(".dvc/")
    }


def pictures(folder: Path, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    for number in range(20):
        path = folder / names[number % len(names)] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(path)
    return folder


def test_a_folder_of_pictures_is_copied_tracked_and_named_with_a_family_for_it(project: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pets")
    place = add(project, folder, None)
    assert place == project / "data" / "raw" / "pets"
    assert len(list(place.rglob("*.png"))) == 20
    assert (project / "data" / "raw" / "pets.dvc").exists()
    params = load_params(project)
    assert (params.data.source, params.data.target, params.model.family) == ("data/raw/pets", None, "cnn")
    assert split.check(project, params).problem.classes == ("cat", "dog")
    before = everything(project)
    add(project, folder, None)
    assert everything(project) == before
    (folder / "cat" / "new.png").write_bytes(b"new")
    with pytest.raises(UserError, match="another file of this name"):
        add(project, folder, None)


def test_check_shows_what_pictures_there_are_and_names_corrupt_ones(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(tmp_path / "pets")
    (folder / "cat" / "broken.png").write_bytes(b"broken")
    add(project, folder, None)
    check(project, PlainReporter())
    shown = capsys.readouterr()
    assert "image: pictures, colour, 64 × 64 pixels" in shown.out
    assert "warning: 1 picture cannot be read, set aside: cat/broken.png (it is of no known format)" in shown.out


def test_a_table_after_pictures_gets_a_family_for_tables_again(project: Path, table: Path, tmp_path: Path) -> None:
    add(project, pictures(tmp_path / "pets"), None)
    add(project, table, "price")
    assert load_params(project).model.family == "mlp"


@pytest.mark.parametrize(
    ("names", "target", "words"), [(("cat", "dog"), "kind", "--target: 'kind'"), (("cat",), None, "one class only")]
)
def test_pictures_that_do_not_fit_leave_everything_as_it_was(
    project: Path, tmp_path: Path, names: tuple[str, ...], target: str | None, words: str
) -> None:
    before = everything(project)
    with pytest.raises(UserError, match=words):
        add(project, pictures(tmp_path / "pets", names), target)
    assert everything(project) == before


@pytest.mark.parametrize(("rows", "said"), [(1, "too few"), (60, "constant")])
def test_a_table_that_a_run_would_refuse_changes_nothing(
    project: Path, table: Path, tmp_path: Path, rows: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add(project, table, "price")
    before = everything(project)
    other = tmp_path / "other.csv"
    other.write_text("x,price\n" + "".join(f"{i},7\n" for i in range(rows)))
    assert cli.main(["add", str(other), "--target", "price"]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "data now" not in shown.out
    assert {name: content for name, content in everything(project).items() if "/cache/" not in name} == {
        name: content for name, content in before.items() if "/cache/" not in name
    }


def test_a_copy_that_breaks_off_leaves_nothing(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "new.csv"
    table.write_text("x,y\n" + "1,0\n2,1\n" * 50)

    def full(source: Path, target: Path) -> None:
        target.write_text("x,y")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        add(project, table, "y")
    assert not (project / "data" / "raw" / "new.csv").exists()
    assert not (project / ".work" / "added").exists()


def test_a_table_of_another_kind_and_a_folder_of_parts_become_the_data_as_they_are(
    project: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "houses.csv.xz"
    packed.write_bytes(lzma.compress(table.read_bytes()))
    assert cli.main(["add", str(packed), "--target", "price"]) == 0
    assert (project / "data" / "raw" / "houses.csv.xz").read_bytes() == packed.read_bytes()
    parts = tmp_path / "parts"
    parts.mkdir()
    for number in (1, 2):
        (parts / f"{number}.csv").write_text(table.read_text())
    assert cli.main(["add", str(parts), "--target", "price"]) == 0
    params = load_params(project)
    assert (params.data.source, params.model.family) == ("data/raw/parts", "mlp")
    assert len(split.check(project, params).frame) == 120
    assert "2 files are read as one table" in capsys.readouterr().out


def test_a_table_is_added_from_an_address_and_no_password_stays_anywhere(
    project: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/data/houses.csv": (table.read_bytes(), {})}) as (host, _):
        address = f"http://me:secret@{host}/data/houses.csv?token=secret"
        assert cli.main(["add", address, "--target", "price"]) == 0
    assert (project / "data" / "raw" / "houses.csv").read_bytes() == table.read_bytes()
    assert load_params(project).data.source == "data/raw/houses.csv"
    assert not any((project / ".work").rglob("downloads"))
    shown = capsys.readouterr()
    assert "secret" not in shown.out + shown.err
    assert not any(b"secret@" in content for content in everything(project).values())


@pytest.mark.parametrize("command", ["add", "predict"])
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("postgresql://user:secret@host/db", "psql 'postgresql://***@host/db'"),
        ("s3+x://user:secret@host/db", "only"),
        ("table.sav", "read_spss"),
    ],
)
def test_what_is_not_read_is_refused_in_one_line_at_once_without_its_password(
    project: Path, command: str, source: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "table.sav").write_bytes(b"$FL2")
    before = everything(project)
    assert cli.main([command, source]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "secret" not in shown
    assert everything(project) == before
    script = f"import sys; from flows import cli; cli.main([{command!r}, {source!r}]); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=project)
    assert done.stdout.strip() == "False"  # nothing slow is imported


def test_check_says_how_columns_were_read_and_what_is_odd_about_the_target(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "odd.csv"
    targets = ["" if i < 12 else "no" if i % 20 else "yes" for i in range(200)]
    rows = (f"{i};{i % 9},5;{'NA' if i % 4 else 'Grvl'};{target}\n" for i, target in enumerate(targets))
    table.write_text("n;price;alley;y\n" + "".join(rows))
    assert cli.main(["add", str(table), "--target", "y"]) == 0
    shown = " ".join("".join(capsys.readouterr()).split())
    for words in (
        "column 'price': read with decimal commas, e.g. '0,5' as 0.5",
        "column 'alley': 'NA' (150 cells) is read as missing; data.missing: [] keeps such words as values",
        "12 of 200 rows have no value in 'y' (6 %), and are left out",
        "95.2 % of rows have 'no' in 'y'",
    ):
        assert words in shown
