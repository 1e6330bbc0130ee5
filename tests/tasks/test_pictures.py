"""From a folder, a zip or an .npz to a split of pictures: what is read, set aside, and refused, and why."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hone.data import images
from hone.errors import UserError
from tasks import files, ingest, model_store, pictures, predict, split
from tasks.params import load_params, parse_params
from tests.tasks import small_model
from tests.tasks.test_tables import stage

SIZE = 12
N = 30


def png(number: int, mode: str = "RGB", side: int | None = None) -> bytes:
    random = np.random.default_rng(number)
    height, width = (side, side) if side else random.integers(8, 24, 2)
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def tree() -> dict[str, bytes]:
    """Thirty pictures of two classes, of mixed sizes and modes, and what else lies about in folders."""
    found = {
        f"{'cat' if i % 2 else 'dog'}/{i:02}.PNG" if i < 25 else f"{'cat' if i % 2 else 'dog'}/more/{i:02}.png": png(
            i, ["RGB", "L", "P", "RGBA", "LA", "1"][i % 6]
        )
        for i in range(N)
    }
    return found | {
        "LICENSE.txt": b"words",
        "cover.png": png(99),
        "cat/notes.csv": b"a,b",
        "cat/.hidden.png": b"no picture",
        "__MACOSX/cat/._00.png": b"no picture",
    }


def as_folder(path: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def as_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


def params_for(place: Path, **of_images: object):
    return parse_params(
        {
            "data": {"source": f"data/raw/{place.name}", "images": {"size": SIZE, **of_images}},
            "model": {"family": "cnn"},
        }
    )


def checked(raw: Path, place: Path, **of_images: object) -> split.Checked:
    return split.check(raw.parents[1], params_for(place, **of_images))


def parts(root: Path) -> dict[str, pd.DataFrame]:
    names = ("train", "validation", "sealed/test")
    return {name: pd.read_parquet(root / "data" / "split" / f"{name}.parquet") for name in names}


def splits(raw: Path, place: Path, **of_images: object):
    """Run ingest and split; return the split's stage."""
    params = params_for(place, **of_images)
    ingest.run(stage(raw.parents[1], "ingest", params))
    done = stage(raw.parents[1], "split", params)
    split.run(done)
    return done


def test_a_folder_a_zip_and_a_zip_of_one_folder_hold_the_same_pictures(raw: Path) -> None:
    places = [
        as_folder(raw / "a", tree()),
        as_zip(raw / "b.zip", tree()),
        as_zip(raw / "c.ZIP", {f"all of them/{name}": data for name, data in tree().items() if "MACOS" not in name}),
    ]
    found = [checked(raw, place) for place in places]
    for one in found:
        assert one.problem.classes == ("cat", "dog")
        assert one.problem.target == "class"
        assert one.frame.equals(found[0].frame)
        assert one.schema == found[0].schema
    assert len(found[0].frame) == N
    assert found[0].schema.columns[0].shape == (3, SIZE, SIZE)
    assert found[0].left_out.passed_over == ("LICENSE.txt", "cat/notes.csv", "cover.png")


def test_the_parts_hold_pictures_of_one_size_and_the_audit_names_what_is_left_out(raw: Path) -> None:
    content = tree() | {"cat/broken.png": png(1)[:60], "dog/empty.jpg": b""}
    done = splits(raw, as_zip(raw / "pictures.zip", content), corrupt=0.1)
    found = parts(done.root)
    assert sum(map(len, found.values())) == N
    for part in found.values():
        assert list(part.columns) == ["image", "class"]
        assert {images.normalised(content, SIZE) for content in part["image"]} == set(part["image"])
    assert sum(len(content) for content in found["train"]["image"]) < len(found["train"]) * (3 * SIZE**2 + 20)
    audit = files.read_json(done.path("data", "split", "audit.json"))
    messages = {one["kind"]: one["message"] for one in audit["findings"]}
    assert "2 pictures cannot be read" in messages["corrupt_picture"]
    assert "cat/broken.png (" in messages["corrupt_picture"]
    assert "dog/empty.jpg (" in messages["corrupt_picture"]
    assert "3 files passed over" in messages["passed_over"]
    assert any("cat/broken.png" in line for line in done.reporter.lines)
    assert audit["columns"]["image"]["kind"] == "image"


def test_too_many_corrupt_files_stop_the_run_as_params_say(raw: Path) -> None:
    place = as_folder(raw / "pictures", tree() | {"cat/broken.png": b"broken"})
    assert len(checked(raw, place, corrupt=0.05).frame) == N
    with pytest.raises(UserError, match=r"1 of 31 pictures cannot be read: cat/broken.png \(.*data.images.corrupt"):
        checked(raw, place, corrupt=0.0)


def test_grey_pictures_are_kept_grey(raw: Path) -> None:
    grey = {f"{'ab'[i % 2]}/{i}.png": png(i, "L") for i in range(N)}
    place = as_zip(raw / "grey.zip", grey)
    assert checked(raw, place).schema.columns[0].shape == (1, SIZE, SIZE)
    assert checked(raw, place, channels="colour").schema.columns[0].shape == (3, SIZE, SIZE)
    done = splits(raw, place)
    assert all(content.startswith(b"P5") for part in parts(done.root).values() for content in part["image"])


def test_pictures_are_decoded_once_and_again_when_they_change(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = as_folder(raw / "pictures", tree())
    decoded = []
    opened = images.normalised
    monkeypatch.setattr(images, "normalised", lambda content, size: decoded.append(size) or opened(content, size))
    splits(raw, place)
    checked(raw, place)
    checked(raw, place, channels="grey")
    assert len(decoded) == N
    checked(raw, place, channels="grey", corrupt=1.0)
    assert len(decoded) == N
    (place / "cat" / "new.png").write_bytes(png(77))
    assert len(checked(raw, place).frame) == N + 1
    assert len(decoded) == 2 * N + 1
    assert len(list((raw.parents[1] / ".work" / "pictures").iterdir())) == 1


def test_folders_with_numbers_for_names_are_classes(raw: Path) -> None:
    content = {f"{i % 25}/{i}.png": png(i) for i in range(150)}
    problem = checked(raw, as_zip(raw / "numbers.zip", content)).problem
    assert problem.task == "multiclass"
    assert problem.classes == tuple(range(25))


def test_duplicates_and_contradictions_are_found(raw: Path) -> None:
    content = {f"{'ab'[i % 2]}/{i}.png": png(i % 2, side=SIZE) for i in range(N)} | {"a/x.png": png(1, side=SIZE)}
    done = splits(raw, as_zip(raw / "same.zip", content))
    kinds = {one["kind"] for one in files.read_json(done.path("data", "split", "audit.json"))["findings"]}
    assert {"duplicates_validation", "duplicates_test"} <= kinds
    all_twice = content | {f"{'ba'[i % 2]}/t{i}.png": png(i % 2, side=SIZE) for i in range(N)}
    done = splits(raw, as_zip(raw / "twice.zip", all_twice))
    kinds = {one["kind"] for one in files.read_json(done.path("data", "split", "audit.json"))["findings"]}
    assert "contradiction" in kinds


ARRAYS = np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.arange(N) % 3


@pytest.mark.parametrize(
    "content",
    [
        {"x": ARRAYS, "y": LABELS},
        {"images": ARRAYS.transpose(0, 3, 1, 2), "labels": LABELS[:, None]},
        {"x": ARRAYS / np.float32(255), "y": LABELS.astype(np.int8)},
        {"x": ARRAYS.astype(np.int64), "y": LABELS},
        {"x": ARRAYS.astype(np.float64), "y": LABELS},
    ],
)
def test_arrays_are_read_however_they_are_laid_out(raw: Path, content: dict[str, np.ndarray]) -> None:
    np.savez(raw / "a.npz", **content)
    found = checked(raw, raw / "a.npz")
    assert found.problem.classes == (0, 1, 2)
    pixels = images.stack(found.frame["image"], (3, SIZE, SIZE))
    assert (pixels == ARRAYS.transpose(0, 3, 1, 2)).all()


def test_grey_arrays_of_text_labels_with_an_unreadable_one(raw: Path) -> None:
    x = ARRAYS[:, :, :, 0].astype(np.float32)
    x[3, 0, 0] = np.nan
    np.savez_compressed(raw / "a.npz", x=x, y=np.array(["cat", "dog"])[LABELS % 2])
    found = checked(raw, raw / "a.npz")
    assert found.problem.classes == ("cat", "dog")
    assert found.schema.columns[0].shape == (1, SIZE, SIZE)
    assert found.left_out.corrupt == (("x[03]", "it has pixels that are not finite"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"x_train": ARRAYS, "y_train": LABELS}, "holds x_train, y_train; save all pictures as `x`"),
        ({"x": ARRAYS[:, :, 0, 0], "y": LABELS}, r"shape \(30, 12\)"),
        ({"x": ARRAYS, "y": LABELS[:5]}, "there are 30 pictures"),
        ({"x": ARRAYS}, "has no classes"),
        ({"x": ARRAYS, "y": LABELS * 0}, "one class only"),
        ({"x": ARRAYS.astype(np.float32) - 100, "y": LABELS}, "values from -100"),
        ({"x": ARRAYS, "y": np.array([object()] * N)}, "no .npz that can be read"),
        ({"x": np.array([{"a": 1}] * N), "y": LABELS}, "no .npz that can be read"),
    ],
)
def test_an_npz_that_holds_no_pictures_is_refused(raw: Path, content: dict[str, np.ndarray], words: str) -> None:
    np.savez(raw / "a.npz", **content)
    with pytest.raises(UserError, match=words):
        checked(raw, raw / "a.npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"../cat/1.png": b""}, "leads out of the archive"),
        ({"a/../../1.png": b""}, "leads out of the archive"),
        ({"/etc/1.png": b""}, "leads out of the archive"),
        ({"..\\1.png": b""}, "leads out of the archive"),
        ({"C:\\a\\1.png": b""}, "leads out of the archive"),
        ({"a/notes.txt": b""}, "holds no pictures"),
        ({"1.png": png(1), "2.png": png(2)}, "has no classes"),
        ({"cat/1.png": png(1), "cat/2.png": png(2)}, "has no classes|one class only"),
        ({"train/cat/1.png": png(1), "test/cat/2.png": png(2)}, "is split already"),
    ],
)
@pytest.mark.parametrize("door", ["check", "ingest"])
def test_a_zip_that_cannot_be_learnt_from_is_refused(raw: Path, door: str, content: dict, words: str) -> None:
    place = as_zip(raw / "bad.zip", content)
    root, params = raw.parents[1], params_for(place)
    with pytest.raises(UserError, match=words):
        split.check(root, params) if door == "check" else ingest.run(stage(root, "ingest", params))
    assert not (raw.parents[1] / "etc").exists()
    assert sorted(path.name for path in raw.iterdir()) == ["bad.zip"]


def test_a_file_that_is_no_zip_and_one_that_is_not_there_are_named(raw: Path) -> None:
    (raw / "a.zip").write_bytes(b"no zip")
    with pytest.raises(UserError, match=r"a\.zip is no zip"):
        checked(raw, raw / "a.zip")
    with pytest.raises(UserError, match="there is no such file"):
        checked(raw, raw / "b.zip")


def test_a_member_that_unpacks_to_too_much_is_set_aside(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = as_zip(raw / "a.zip", tree() | {"cat/bomb.png": b"\0" * 100_000})
    monkeypatch.setattr(pictures, "LARGEST", 50_000)
    assert [path for path, _ in checked(raw, place).left_out.corrupt] == ["cat/bomb.png"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"target": "kind"}, "data.target: 'kind', but a picture's target is its class; leave it empty"),
        ({"drop": ["image"]}, "data.drop: pictures have no columns"),
        ({"kinds": {"image": "numeric"}}, "data.kinds: pictures have no columns"),
    ],
)
def test_params_without_a_meaning_for_pictures_are_refused(raw: Path, data: dict, words: str) -> None:
    place = as_zip(raw / "a.zip", tree())
    params = params_for(place)
    params = params.model_copy(update={"data": params.data.model_copy(update=data)})
    with pytest.raises(UserError, match=words):
        split.check(raw.parents[1], params)


@pytest.mark.parametrize(
    ("source", "family", "words"),
    [
        ("data/raw/a.zip", "mlp", "mlp is for tables, and data.source holds pictures; set it to cnn or resnet_image"),
        ("data/raw/folder", "resnet", "resnet is for tables"),
        ("sklearn:digits", "cnn", "cnn is for pictures, and data.source holds a table; set it to mlp or resnet"),
    ],
)
def test_a_family_for_other_data_is_refused_before_anything_runs(
    raw: Path, source: str, family: str, words: str
) -> None:
    root = raw.parents[1]
    as_folder(raw / "folder", tree())
    (root / "params.yaml").write_text(f"data: {{source: '{source}'}}\nmodel: {{family: {family}}}\n")
    with pytest.raises(UserError, match=words):
        load_params(root)


@pytest.mark.parametrize("of_images", [{"size": 4}, {"size": 1000}, {"channels": "gray"}, {"corrupt": 2}, {"sise": 32}])
def test_the_block_of_params_is_closed_and_checked(raw: Path, of_images: dict) -> None:
    with pytest.raises(UserError, match=r"data\.images"):
        params_for(raw / "a.zip", **of_images)


@pytest.fixture
def model(raw: Path) -> model_store.Predictor:
    """An untrained network behind a fitted preprocessor, saved and loaded."""
    from hone import models
    from hone.data import preprocessing

    found = checked(raw, as_zip(raw / "a.zip", tree()))
    preprocessor = preprocessing.fit(found.frame, found.schema, found.problem)
    inputs = models.inputs_of(preprocessor.transform(found.frame), found.problem, ())
    config = {**models.default_space("cnn").default, "width": 8, "n_stages": 2}
    weights = models.build("cnn", config, inputs, 0).state_dict()
    folder = raw.parents[1] / "model"
    networks = [model_store.Network("cnn", config, weights)]
    model_store.save(folder, networks=networks, inputs=inputs, preprocessor=preprocessor)
    return model_store.load(folder)


def test_a_prediction_for_each_picture_with_its_path(
    raw: Path, tmp_path: Path, model: model_store.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {name: data for name, data in tree().items() if name.startswith(("cat/", "dog/"))}
    flat = {f"{number}.png": data for number, data in enumerate(content.values()) if data[:4] == b"\x89PNG"}
    folder = as_folder(tmp_path / "new ones", flat | {"broken.jpg": b"x", "notes.txt": b"words"})
    said: list[str] = []
    assert predict.predict(model, folder, tmp_path / "a.csv", (), said.append) == N
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table.columns) == ["path", "prediction", "probability_cat", "probability_dog"]
    assert table["path"].tolist() == sorted(flat)
    assert len(said) == 1
    assert "1 of 31 pictures cannot be read: broken.jpg" in said[0]
    direct = model.predict(pd.DataFrame({"image": [flat[path] for path in sorted(flat)]}))
    np.testing.assert_allclose(table["probability_cat"], direct["probability_cat"], atol=1e-12)

    monkeypatch.setattr(predict, "N_BATCHES", 1)
    monkeypatch.setattr(predict, "PICTURES", 7)  # several pieces
    place = as_zip(tmp_path / "new.zip", content)
    assert predict.predict(model, place, tmp_path / "b.parquet", ["class"]) == N
    pieces = pd.read_parquet(tmp_path / "b.parquet")
    assert list(pieces.columns)[:2] == ["path", "class"]
    assert set(pieces["class"]) == {"cat", "dog"}


def test_a_model_is_told_what_it_cannot_predict(raw: Path, tmp_path: Path, model: model_store.Predictor) -> None:
    broken = as_folder(tmp_path / "broken", {"a.png": b"x"})
    with pytest.raises(UserError, match=r"1 of 1 pictures cannot be read: a.png .*nothing to predict"):
        predict.predict(model, broken, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="lacks column 'image'"):
        predict.predict(model, tmp_path / "t.csv", tmp_path / "a.csv")
    with pytest.raises(UserError, match="'image': row 1 is no picture"):
        model.predict(pd.DataFrame({"image": [None]}))


def test_mlflow_takes_the_bytes_of_files(raw: Path, tmp_path: Path, model: model_store.Predictor) -> None:
    import mlflow.pyfunc

    from tasks import pyfunc

    rows = pd.DataFrame({"image": [png(i) for i in range(3)]})
    root = Path(__file__).parents[2]
    pyfunc.save(tmp_path / "flavor", raw.parents[1] / "model", rows, root=root)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "flavor"))
    assert loaded.predict(rows).equals(model.predict(rows))
    assert str(loaded.metadata.get_input_schema().inputs[0].type) == "DataType.binary"
    assert any(line.startswith("pillow==") for line in pyfunc.requirements(root))
    example = json.loads((tmp_path / "flavor" / "input_example.json").read_text())
    assert example["columns"] == ["image"]


def test_a_model_trained_on_a_table_refuses_pictures(tmp_path: Path) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    folder = as_folder(tmp_path / "new", {"a.png": png(1)})
    with pytest.raises(UserError, match="and the model was trained on a table; name a table"):
        predict.predict(model, folder, tmp_path / "a.csv")
