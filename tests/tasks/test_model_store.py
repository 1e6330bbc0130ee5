"""The model folder: equal bytes, equal predictions, nothing that could run code; and the same model in MLflow."""

import ast
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from sklearn.linear_model import LogisticRegression

from hone.data.rows import Marks, Seen
from hone.data.targets import transform
from hone.errors import UserError
from hone.models import build, default_space
from hone.models.former import with_start
from tasks import model_store, pyfunc
from tests.tasks import small_model
from tests.tasks.small_model import TARGETS, features, raw_rows, strange_rows

REPOSITORY = Path(__file__).parents[2]
TASKS = tuple(TARGETS)
MINE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, n_num, n_outputs):
        super().__init__()
        self.linear = nn.Linear(n_num, n_outputs)

    def forward(self, x_num, x_cat):
        return self.linear(x_num)


def make(inputs, config):
    return Net(inputs.n_num, inputs.n_outputs)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_equal_models_are_equal_bytes_in_any_process(tmp_path: Path) -> None:
    for task in TASKS:
        small_model.write(tmp_path / "here" / task, task)
    script = (
        "from pathlib import Path; from tests.tasks import small_model as s\n"
        "for task in s.TARGETS: s.write(Path('there', task), task)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7"}
    time.sleep(max(0.0, 2 - time.time() % 2))  # a zip file's times have steps of two seconds
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    for task in TASKS:
        assert set(contents(tmp_path / "here" / task)) == {"model.safetensors", "preprocess.skops", "model.json"}
        assert contents(tmp_path / "here" / task) == contents(tmp_path / "there" / task)


@pytest.mark.parametrize("task", TASKS)
def test_a_loaded_model_saves_to_the_same_bytes(tmp_path: Path, task: str) -> None:
    small_model.write(tmp_path / "a", task)
    loaded = model_store.load(tmp_path / "a")
    description = json.loads((tmp_path / "a" / "model.json").read_text())
    _, inputs = small_model.fitted(task)
    model_store.save(
        tmp_path / "b",
        networks=[
            model_store.Network(one["family"], one["config"], network.state_dict(), one["weight"])
            for one, network in zip(description["networks"], loaded.networks, strict=True)
        ],
        inputs=inputs,
        preprocessor=loaded.preprocessor,
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_model_remembers_the_rows_it_was_trained_on(tmp_path: Path) -> None:
    preprocessor, inputs = small_model.fitted("binary")
    config = default_space("mlp").default
    networks = [model_store.Network("mlp", config, build("mlp", config, inputs, 0).state_dict())]

    def save(name: str, seen: np.ndarray | None, former: tuple[Seen, ...] = ()) -> Path:
        model_store.save(
            tmp_path / name,
            networks=networks,
            inputs=inputs,
            preprocessor=preprocessor,
            seen=seen,
            former=former,
        )
        return tmp_path / name

    rows = np.array([2**64 - 1, 3, 0, 2**63, 3], dtype=np.uint64)
    found = model_store.seen(save("a", rows))
    assert found.dtype == np.uint64
    assert found.tolist() == [0, 3, 2**63, 2**64 - 1]
    assert contents(save("b", rows[::-1])) == contents(tmp_path / "a")
    assert model_store.former(tmp_path / "a") == ()
    model_store.load(tmp_path / "a")
    former = tuple(
        Seen(marks, np.array([1, 2**63], dtype=np.uint64))
        for marks in (Marks(("x", "y")), Marks(("i",), "i", (1, 8, 8)))
    )
    assert model_store.seen(save("c", rows, former)).tolist() == found.tolist()
    assert [(one.marks, one.digests.tolist()) for one in model_store.former(tmp_path / "c")] == [
        (one.marks, one.digests.tolist()) for one in former
    ]
    assert model_store.seen(save("a", None)).tolist() == []


@pytest.mark.parametrize("family", ["mlp", "resnet"])
@pytest.mark.parametrize("task", TASKS)
def test_a_loaded_model_predicts_as_the_one_that_was_saved(tmp_path: Path, task: str, family: str) -> None:
    small_model.write(tmp_path, task, family=family, networks=1)
    loaded = model_store.load(tmp_path)
    fresh = replace(loaded, preprocessor=small_model.fitted(task)[0])
    rows = strange_rows(task)
    np.testing.assert_array_equal(loaded.proba(rows), fresh.proba(rows))


def test_networks_of_several_families_are_weighed_and_kept_with_temperature_and_threshold(tmp_path: Path) -> None:
    preprocessor, inputs = small_model.fitted("binary")
    networks = [
        model_store.Network(family, config, build(family, config, inputs, 0).state_dict(), weight)
        for family, weight in (("mlp", 0.25), ("resnet", 0.75))
        for config in (default_space(family).default,)
    ]

    def save(name: str, **chosen: float) -> model_store.Predictor:
        model_store.save(tmp_path / name, networks=networks, inputs=inputs, preprocessor=preprocessor, **chosen)
        return model_store.load(tmp_path / name)

    rows = strange_rows("binary")
    plain = save("plain").proba(rows)
    alone = [replace(save("plain"), networks=(network,), weights=()).proba(rows) for network in save("plain").networks]
    np.testing.assert_allclose(plain, 0.25 * alone[0] + 0.75 * alone[1])
    found = save("calibrated", temperature=2.0, threshold=0.0).predict(rows)
    np.testing.assert_allclose(found["probability_yes"], np.sqrt(plain[:, 1]) / np.sqrt(plain).sum(axis=1), rtol=1e-12)
    positive = model_store.load(tmp_path / "calibrated").problem.positive
    assert set(found["prediction"]) == {positive}
    assert len(set(save("cautious", threshold=1.1).predict(rows)["prediction"]) - {positive}) == 1
    assert pyfunc_families(tmp_path / "plain") == {"mlp", "resnet"}


def pyfunc_families(folder: Path) -> set[str]:
    return {one["family"] for one in model_store.describe(folder)["networks"]}


def test_a_networks_transform_of_the_target_is_kept(tmp_path: Path) -> None:
    preprocessor, inputs = small_model.fitted("regression")
    config = {**default_space("mlp").default, "target_transform": "yeo_johnson"}
    found = transform(config, np.array([-1.0, 0.0, 0.1, 3.0]))
    tensors = build("mlp", config, inputs, 0).state_dict()
    networks = [model_store.Network("mlp", config, tensors, transform=each) for each in (found, None)]
    model_store.save(tmp_path, networks=networks, inputs=inputs, preprocessor=preprocessor)
    model = model_store.load(tmp_path)
    assert model.transforms == (found, None)
    alone = [
        replace(model, networks=model.networks[:1], transforms=(each,)).proba(raw_rows()) for each in (found, None)
    ]
    assert not np.allclose(*alone)
    np.testing.assert_array_equal(model.proba(raw_rows()), np.mean(alone, axis=0))
    assert alone[0].max() <= 3.0 * preprocessor.target_std + preprocessor.target_mean + 1e-9


@pytest.mark.parametrize("task", TASKS)
def test_a_model_of_format_1_predicts_as_it_did(tmp_path: Path, task: str) -> None:
    small_model.write(tmp_path, task, networks=3)
    rows = strange_rows(task)
    before = model_store.load(tmp_path).predict(rows)
    description = json.loads((tmp_path / "model.json").read_text())
    one = description["networks"][0]
    old = {name: description[name] for name in ("inputs", "preprocessor")}
    old |= {"format": 1, "family": one["family"], "config": one["config"], "n_networks": 3}
    (tmp_path / "model.json").write_text(json.dumps(old))
    pd.testing.assert_frame_equal(model_store.load(tmp_path).predict(rows), before, check_exact=True)
    (tmp_path / "model.json").write_text(json.dumps({**old, "format": 3}))
    with pytest.raises(UserError, match="format 3, not 2; use the Hone that wrote it"):
        model_store.load(tmp_path)


def test_a_network_that_rested_for_more_epochs_than_it_is_wide_is_loaded(tmp_path: Path) -> None:
    preprocessor, inputs = small_model.fitted("binary")
    config = {**with_start(default_space("mlp"), 10**9).default, "frozen_epochs": 10**6}
    weights = build("mlp", config, inputs, 0).state_dict()
    model_store.save(
        tmp_path, networks=[model_store.Network("mlp", config, weights)], inputs=inputs, preprocessor=preprocessor
    )
    assert len(model_store.load(tmp_path).predict(raw_rows())) == len(raw_rows())
    (tmp_path / "model.json").write_text((tmp_path / "model.json").read_text().replace("frozen_epochs", "n_layers_"))
    with pytest.raises(UserError, match="n_layers_ 1000000 is beyond what its weights are of"):
        model_store.load(tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_networks_are_averaged(tmp_path: Path, task: str) -> None:
    model = model_store.load(small_model.write(tmp_path, task, networks=3))
    rows = strange_rows(task)
    alone = [replace(model, networks=(network,)).proba(rows) for network in model.networks]
    assert not np.array_equal(alone[0], alone[1])
    np.testing.assert_array_equal(model.proba(rows), np.mean(alone, axis=0))


def test_classes_are_predicted_by_name_with_a_probability_each(tmp_path: Path) -> None:
    rows = strange_rows("multiclass").set_index(pd.Index(range(100, 112)))
    table = model_store.load(small_model.write(tmp_path, "multiclass")).predict(rows)
    assert list(table.columns) == ["prediction", "probability_a", "probability_b", "probability_c"]
    assert list(table.index) == list(rows.index)
    np.testing.assert_allclose(table.iloc[:, 1:].sum(axis=1), 1)
    assert (table["prediction"] == table.iloc[:, 1:].idxmax(axis=1).str.removeprefix("probability_")).all()


def test_a_value_is_predicted_in_the_targets_units(tmp_path: Path) -> None:
    model = model_store.load(small_model.write(tmp_path, "regression"))
    table = model.predict(strange_rows("regression"))
    assert list(table.columns) == ["prediction"]
    assert abs(table["prediction"].mean() - raw_rows()["price"].mean()) < 2 * raw_rows()["price"].std()


def test_no_rows_give_no_predictions(tmp_path: Path) -> None:
    model = model_store.load(small_model.write(tmp_path, "binary"))
    assert model.predict(strange_rows("binary").head(0)).shape == (0, 3)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    model = model_store.load(small_model.write(tmp_path, "binary"))
    with pytest.raises(UserError, match="'town'"):
        model.predict(strange_rows("binary").drop(columns="town"))


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "preprocess.skops"])
def test_a_folder_that_lacks_a_file_holds_no_model(tmp_path: Path, name: str) -> None:
    (small_model.write(tmp_path, "binary") / name).unlink()
    with pytest.raises(UserError, match=name):
        model_store.load(tmp_path)


def test_a_preprocessor_of_unknown_types_is_refused(tmp_path: Path) -> None:
    from skops.io import dump

    class Stranger(LogisticRegression):
        pass

    small_model.write(tmp_path, "binary")
    dump({"numeric": Stranger()}, tmp_path / "preprocess.skops")
    description = json.loads((tmp_path / "model.json").read_text())
    del description["sha256"]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match="Stranger"):
        model_store.load(tmp_path)


def test_importing_the_store_does_not_import_mlflow_or_skops() -> None:
    script = "import sys, tasks.model_store; assert not {'mlflow', 'skops'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


@pytest.fixture(scope="module", params=TASKS)
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Return (task, model folder, MLflow model folder)."""
    folder = tmp_path_factory.mktemp("packed")
    model = small_model.write(folder / "model", request.param)
    pyfunc.save(folder / "pyfunc", model, features(raw_rows(), request.param), root=REPOSITORY)
    return request.param, model, folder / "pyfunc"


@pytest.mark.parametrize("rows", ["strange", "whole", "no_numbers"])
def test_mlflow_predicts_the_same_bits_on_raw_rows(packed: tuple[str, Path, Path], rows: str) -> None:
    import mlflow.pyfunc

    task, model, folder = packed
    table = strange_rows(task) if rows == "strange" else raw_rows(2)  # targets and all: more columns than are needed
    if rows == "no_numbers":
        table = table.assign(rooms=None, size=float("nan"), town=float("nan"))
    found = mlflow.pyfunc.load_model(str(folder)).predict(table)
    pd.testing.assert_frame_equal(found, model_store.load(model).predict(table), check_exact=True)


def variants(kind: str) -> pd.DataFrame:
    """Return raw rows in which columns have other types than in the training rows, as another file may give them."""
    rows = raw_rows(2)
    return {
        "whole numbers": rows.assign(size=rows["size"].round().fillna(0).astype("int64")),
        "whole numbers with a gap": rows.assign(rooms=rows["rooms"].astype("float64").where(rows.index != 2)),
        "pandas' own whole numbers": rows.assign(rooms=rows["rooms"].astype("Int64").where(rows.index != 2)),
        "floats for text of numbers": rows.assign(charge=pd.to_numeric(rows["charge"], errors="coerce")),
        "text for numbers": rows.assign(size=rows["size"].astype("str"), rooms=rows["rooms"].astype("str")),
        "numbers for text": rows.assign(zip=rows["zip"].astype("int64")),
        "all is missing": rows.assign(town=float("nan"), garden=float("nan"), built=float("nan")),
        "categories": rows.assign(town=rows["town"].astype("category")),
        "levels not seen before": rows.assign(town="Atlantis", zip="99999"),
        "yes and no": rows.assign(garden=rows["garden"].map({True: "yes", False: "no"})),
        "0 and 1": rows.assign(garden=rows["garden"].astype("int64")),
        "truth values with a gap": rows.assign(garden=rows["garden"].astype(object).where(rows.index != 2, None)),
        "dates": rows.assign(built=pd.to_datetime(rows["built"])),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("whole numbers", ("size", "double")),
        ("whole numbers with a gap", ("rooms", "long")),
        ("pandas' own whole numbers", ("rooms", "double")),
        ("floats for text of numbers", ("charge", "string")),
        ("text for numbers", ("size", "double")),
        ("numbers for text", ("zip", "string")),
        ("all is missing", ("town", "string")),
        ("categories", ("town", "string")),
        ("levels not seen before", None),
        ("yes and no", ("garden", "boolean")),
        ("0 and 1", ("garden", "boolean")),
        ("truth values with a gap", None),
        ("dates", ("built", "string")),
    ],
)
def test_mlflow_takes_every_frame_that_the_model_takes(
    packed: tuple[str, Path, Path], kind: str, refused: tuple[str, str] | None
) -> None:
    """refused: a column of it, and the type of MLflow's that would refuse it: why the signature names no such type."""
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.models.utils import _enforce_schema
    from mlflow.types.schema import ColSpec, Schema

    _task, model, folder = packed
    rows = variants(kind)
    found = mlflow.pyfunc.load_model(str(folder)).predict(rows)
    pd.testing.assert_frame_equal(found, model_store.load(model).predict(rows), check_exact=True)
    if refused is not None:
        column, strict = refused
        with pytest.raises(MlflowException):
            _enforce_schema(rows[[column]], Schema([ColSpec(strict, column)]))


def test_what_mlflow_keeps_has_a_signature_an_example_pins_and_no_path_of_this_machine(
    packed: tuple[str, Path, Path],
) -> None:
    from mlflow.models import Model

    _task, model, folder = packed
    kept = Model.load(str(folder))
    assert tuple(kept.signature.inputs.input_names()) == model_store.load(model).columns
    assert kept.signature.outputs.input_names()[0] == "prediction"
    assert kept.load_input_example(str(folder)).shape == (5, len(model_store.load(model).columns))
    codes = kept.load_input_example(str(folder))["zip"]
    assert codes.tolist() == raw_rows()["zip"].head(5).tolist()  # "00701" is not 701 on the way through JSON
    pins = (folder / "requirements.txt").read_text().splitlines()
    lock = (REPOSITORY / "requirements.lock").read_text().splitlines()
    assert set(pins) <= set(lock)
    assert {"torch", "mlflow", "scikit-learn"} <= {pin.partition("==")[0] for pin in pins}
    assert not list(folder.rglob("__pycache__"))
    for path in filter(Path.is_file, folder.rglob("*")):
        assert str(folder.parent).encode() not in path.read_bytes(), path
        assert path.suffix not in (".pkl", ".pt", ".pth", ".joblib"), path


def test_an_mlflow_model_needs_no_repository_and_takes_a_custom_familys_module_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    small_model.write(tmp_path / "model", "binary", family="mine:make")
    pyfunc.save(tmp_path / "packed", tmp_path / "model", raw_rows(), root=tmp_path, trusted=["mine:make"])
    (tmp_path / "mine.py").unlink()
    (tmp_path / "elsewhere").mkdir()
    strange_rows("binary").to_parquet(tmp_path / "elsewhere" / "rows.parquet")
    script = (
        "import mlflow.pyfunc, pandas as pd; model = mlflow.pyfunc.load_model('../packed')\n"
        "model.predict(pd.read_parquet('rows.parquet')).to_parquet('found.parquet')\n"
        "import hone, mine, tasks.model_store; print(hone.__file__, mine.__file__, tasks.model_store.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=True
    )
    assert all(str(Path(path).resolve()).startswith(str(tmp_path / "packed")) for path in done.stdout.split())
    found = pd.read_parquet(tmp_path / "elsewhere" / "found.parquet")
    expected = model_store.load(tmp_path / "model", ["mine:make"]).predict(strange_rows("binary"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_the_packages_that_a_model_asks_for_bring_all_that_its_code_imports() -> None:
    script = (
        "import importlib, pkgutil, sys; import tasks.model_store, hone.models;"
        " [importlib.import_module(f'hone.models.{each.name}') for each in pkgutil.iter_modules(hone.models.__path__)];"
        " print(*(module.__file__ for name, module in"
        " sys.modules.items() if name.partition('.')[0] in ('hone', 'tasks') and module.__file__))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set[str]()
    for path in done.stdout.split():
        for node in ast.walk(ast.parse(Path(path).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    known = importlib.metadata.packages_distributions()
    wanted = {_normal(known[name][0]) for name in imported - sys.stdlib_module_names - {"hone", "tasks"}}
    assert {"tabm", "torch", "skops"} <= wanted
    brought, due = set[str](), [*pyfunc.PACKAGES]
    while due:
        name = _normal(due.pop())
        if name not in brought and name in map(_normal, known_names(known)):
            brought.add(name)
            asked = map(Requirement, importlib.metadata.requires(name) or ())
            due += [each.name for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    assert wanted <= brought


def known_names(known: Mapping[str, list[str]]) -> set[str]:
    return {name for names in known.values() for name in names}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def post(port: int, body: str) -> tuple[int, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """Serve a binary model with MLflow's own command; yield (model folder, port)."""
    folder = tmp_path_factory.mktemp("served")
    model = small_model.write(folder / "model", "binary")
    pyfunc.save(folder / "pyfunc", model, features(raw_rows(), "binary"), root=REPOSITORY)
    port = free_port()
    command = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(folder / "pyfunc")]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, *command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            for _ in range(600):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
            yield model, port
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.parametrize("orient", ["split", "records"])
def test_mlflow_serves_the_same_bits_for_rows_with_nulls_and_unseen_categories(
    served: tuple[Path, int], orient: str
) -> None:
    model, port = served
    rows = strange_rows("binary")
    plain = rows.astype(object).where(rows.notna(), None)
    status, answer = post(port, json.dumps({f"dataframe_{orient}": plain.to_dict(orient=orient)}))
    assert status == 200, answer
    found = pd.DataFrame(json.loads(answer)["predictions"])
    pd.testing.assert_frame_equal(found, model_store.load(model).predict(rows), check_exact=True, check_dtype=False)


def test_mlflow_serves_a_single_row_of_nulls(served: tuple[Path, int]) -> None:
    model, port = served
    empty = dict.fromkeys(model_store.load(model).columns)
    status, answer = post(port, json.dumps({"dataframe_records": [empty]}))
    assert status == 200, answer
    assert json.loads(answer)["predictions"][0]["prediction"] in ("yes", "no")


def test_mlflow_answers_a_row_that_lacks_a_column_with_its_name(served: tuple[Path, int]) -> None:
    status, answer = post(served[1], json.dumps({"dataframe_records": [{"size": 1.0}]}))
    assert status == 400
    assert "town" in answer


@pytest.fixture(autouse=True)
def quiet_mlflow():
    """MLflow warns of its own use of pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")
        yield
