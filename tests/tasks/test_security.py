"""Nothing that a stranger wrote is run: not from params.yaml, a model, a checkpoint, a journal or an archive."""

import ast
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from flows import predict
from hone.errors import UserError, without_secrets
from tasks import checkpoints, journal, model_format, model_store, pictures, start_from
from tasks.params import load_params
from tasks.reporting import PlainReporter
from tasks.tracking import uri
from tests.fuzz.harness import unclear
from tests.fuzz.stored import results
from tests.tasks import small_model
from tests.tasks.small_model import strange_rows

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"

# What runs code that a file holds, or may. By file: what it is allowed, and why.
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load"),
    *("yaml.full_load", "pd.read_pickle", "np.load", "numpy.load", "mlflow.pyfunc.load_model"),
}
ALLOWED = {
    ("tasks/params_file.py", "yaml.load"),  # ruamel's round trip, which builds no objects of tags
    ("tasks/versioning.py", "yaml.load"),  # the safe loader, in C where that is there
    ("benchmarks/training.py", "np.load"),  # numpy's default: no pickle
    ("tasks/encoded.py", "np.load"),  # numpy's default: no pickle
    ("tasks/pictures.py", "np.load"),  # allow_pickle=False
}


def used(path: Path) -> Iterator[str]:
    """Yield what of the unsafe a module imports or calls."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            yield from (name for name in names if name.partition(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.Call):
            if (name := ast.unparse(node.func)) in UNSAFE_CALLS:
                yield name
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, value) in (("shell", True), ("allow_pickle", True), ("weights_only", False)):
                    yield f"{keyword.arg}={value}"


def test_no_source_reads_what_could_run() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for floor in ("hone", "tasks", "flows", "custom", "benchmarks")
        for path in (ROOT / floor).rglob("*.py")
        for name in used(path)
    }
    assert found == ALLOWED


def test_the_search_for_unsafe_calls_finds_them(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import pickle, joblib.parallel\nfrom dill import loads\neval('1')\nyaml.load(x)\ntorch.load(f)\n"
        "subprocess.run(x, shell=True)\nnp.load(x, allow_pickle=True)\nmodel.eval()\n"
    )
    found = sorted(used(tmp_path / "bad.py"))
    assert found == sorted(
        [
            *("pickle", "joblib.parallel", "dill", "eval", "yaml.load", "torch.load"),
            *("shell=True", "np.load", "allow_pickle=True"),
        ]
    )  # fmt: skip


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a file that appears if a stranger's code has been run, and look for it afterwards."""
    (tmp_path / "importable").mkdir()
    place = tmp_path / "importable" / "was_run"
    (tmp_path / "importable" / "stranger.py").write_text(
        f"from pathlib import Path\nfrom torch import nn\nPath({str(place)!r}).write_text('imported')\n"
        "def make(inputs, config):\n    return nn.Linear(1, 2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "importable")
    yield place
    assert not place.exists(), "a stranger's code was run"


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._place}",)


def one_line(error: pytest.ExceptionInfo[UserError]) -> str:
    assert not unclear(str(error.value)), str(error.value)
    return str(error.value)


def described(folder: Path, **changed: object) -> None:
    """Change what a model says of itself, as someone who means harm would: with no digests left to contradict it."""
    content = json.loads((folder / "model.json").read_text())
    content.pop("sha256", None)
    for path, value in changed.items():
        place, *rest = path.split("__")
        holder = content
        for part in [place, *rest][:-1]:
            holder = holder[int(part)] if part.isdigit() else holder[part]
        holder[[place, *rest][-1]] = value
    (folder / "model.json").write_text(json.dumps(content))


@pytest.mark.parametrize("family", ["os:system", "stranger:make", "builtins:exec", "subprocess:call", ":", "x"])
def test_a_models_family_that_is_not_trusted_is_not_imported(family: str, tmp_path: Path, poison: Path) -> None:
    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    described(folder, networks__0__family=family)
    for load in (model_store.load, lambda folder: model_store.load(folder, ["mine:make"]), model_store._load_pyfunc):
        with pytest.raises(UserError) as refusal:
            load(folder if load is not model_store._load_pyfunc else str(folder))
        assert repr(family) in one_line(refusal)
        assert "--trust" in one_line(refusal)


def test_predict_trusts_what_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, n, k):\n        super().__init__()\n        self.linear = nn.Linear(n, k)\n"
        "    def forward(self, x_num, x_cat):\n        return self.linear(x_num)\n"
        "def make(inputs, config):\n    return Net(inputs.n_num, inputs.n_outputs)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    folder = small_model.write(tmp_path / "model", "binary", family="own_net:make", networks=1)
    with pytest.raises(UserError, match="--trust"):
        predict.load(tmp_path, str(folder))
    assert len(predict.load(tmp_path, str(folder), ["own_net:make"]).predict(strange_rows("binary"))) == 12
    (tmp_path / "params.yaml").write_text("model:\n  family: own_net:make\n")
    assert len(predict.load(tmp_path, str(folder)).predict(strange_rows("binary"))) == 12


def test_mlflow_runs_a_models_own_code_and_no_other(tmp_path: Path, poison: Path) -> None:
    packed = tmp_path / "packed"
    folder = small_model.write(packed / "data" / "model", "binary", networks=1)
    described(folder, networks__0__family="stranger:make")
    (packed / "MLmodel").write_text("flavors: {}\n")
    (packed / "code").mkdir()
    with pytest.raises(UserError, match="stranger:make"):
        model_store._load_pyfunc(str(folder))
    assert not model_store._lies_in("stranger:make", packed / "code")
    assert model_store._lies_in("stranger:make", poison.parent)
    assert not model_store._lies_in("os:system", packed / "code")
    assert not model_store._lies_in("", packed / "code")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"networks__0__config__n_layers": 10**8}, "n_layers 100000000"),
        ({"networks__0__config__units_1": 10**6}, "units_1 1000000"),
        ({"networks__0__weight": -1}, "networks.0.weight"),
        ({"networks": []}, "networks"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"inputs__n_outputs": 3}, "3 outputs for 2 classes"),
        ({"inputs__cardinalities": [2**30]}, "categories"),
        ({"inputs__n_num": 10**9}, "numeric columns"),
        ({"preprocessor__problem__metric": "nonsense"}, "nonsense"),
        ({"preprocessor__target_std": 0}, "target_std"),
        ({"preprocessor__schema__columns": []}, "do not belong together"),
        ({"surprise": 1}, "surprise"),
        ({"format": [9]}, "format"),
    ],
)
def test_a_model_that_says_what_cannot_be_is_refused(changed: dict[str, object], said: str, tmp_path: Path) -> None:
    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    described(folder, **changed)
    with pytest.raises(UserError) as refusal:
        model_store.load(folder)
    assert said in one_line(refusal)


def test_a_network_of_another_shape_or_of_far_more_memory_is_refused(tmp_path: Path) -> None:
    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    described(folder)
    name = next(name for name in tensors if tensors[name].ndim == 2)
    safetensors.torch.save_file({**tensors, name: torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(UserError, match="size mismatch"):
        model_store.load(folder)
    # A vector as long as a layer is to be wide lets the width pass; the layer itself would take gigabytes.
    safetensors.torch.save_file({**tensors, "0.odd": torch.zeros(40_000)}, folder / "model.safetensors")
    described(folder, networks__0__config__units_1=40_000, networks__0__config__units_2=40_000)
    with pytest.raises(UserError, match="far more memory"):
        model_store.load(folder)


def test_a_file_that_was_changed_is_named(tmp_path: Path) -> None:
    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"model\.safetensors: damaged"):
        model_store.load(folder)


@pytest.mark.parametrize("estimator", [LogisticRegression(), FunctionTransformer(np.log)])
def test_a_preprocessor_of_types_that_none_of_hones_needs_is_refused(estimator: object, tmp_path: Path) -> None:
    from skops.io import dump  # which trusts all of scikit-learn

    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    described(folder)
    dump({"numeric": estimator}, folder / "preprocess.skops")
    with pytest.raises(UserError) as refusal:
        model_store.load(folder)
    assert "refused, it holds types that no preprocessor of Hone's needs" in one_line(refusal)
    assert type(estimator).__name__ in one_line(refusal)


def test_pickles_in_other_clothes_are_refused_unread(tmp_path: Path, poison: Path) -> None:
    harm = pickle.dumps(Payload(poison))
    for name in ("model.safetensors", "preprocess.skops", "model.json"):
        folder = small_model.write(tmp_path / name.partition(".")[0] / name.partition(".")[2], "binary", networks=1)
        described(folder)
        (folder / name).write_bytes(harm)
        with pytest.raises(UserError) as refusal:
            model_store.load(folder)
        assert name in one_line(refusal)
    buffer = io.BytesIO()
    torch.save(Payload(poison), buffer)
    (tmp_path / "old.safetensors").write_bytes(buffer.getvalue())
    with pytest.raises(UserError) as refusal:
        start_from.parse(tmp_path / "old.safetensors", "model.start_from: old")
    one_line(refusal)
    (tmp_path / "search_random-0000.safetensors").write_bytes(harm)
    with pytest.raises((UserError, checkpoints.DamagedError)):
        checkpoints.read([tmp_path], "search_random-0000")


def test_a_poisoned_skops_file_is_refused(tmp_path: Path, poison: Path) -> None:
    folder = small_model.write(tmp_path / "model", "binary", networks=1)
    described(folder)
    node = {"__class__": "system", "__module__": "os", "__loader__": "TypeNode", "__id__": 1}
    reduced = {
        "__class__": "x",
        "__module__": "y",
        "__loader__": "ReduceNode",
        "reduce": node,
        "args": [f"touch {poison}"],
    }
    for schema in (
        node,
        {"content": [reduced], "__class__": "dict", "__module__": "builtins", "__loader__": "DictNode"},
    ):
        with zipfile.ZipFile(folder / "preprocess.skops", "w") as archive:
            archive.writestr("schema.json", json.dumps(schema))
        with pytest.raises(UserError) as refusal:
            model_store.load(folder)
        assert "os.system" in one_line(refusal)


def test_a_preprocessor_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "preprocess.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 10**7)
    with pytest.raises(UserError, match="compressed") as refusal:
        model_format.check_preprocessor(path)
    one_line(refusal)


def test_a_poisoned_journal_gives_no_result(tmp_path: Path, poison: Path) -> None:
    lines = [
        json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [f"touch {poison}"]}]}),
        pickle.dumps(Payload(poison), protocol=0).decode("ascii", "replace").replace("\n", " "),
        "[" * 50_000,
        "{}",
    ]
    path = tmp_path / "search_random.jsonl"
    kept = journal.Journal(path)
    kept.append(results()[0])
    path.write_text(path.read_text() + "\n".join(lines) + "\n")
    assert journal.Journal(path).results == [results()[0]]


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system",
        "!!python/module:stranger",
    ],
)
def test_params_build_no_objects(tag: str, tmp_path: Path, poison: Path) -> None:
    (tmp_path / "params.yaml").write_text(f"report:\n  title: {tag.format(poison)}\n")
    with pytest.raises(UserError, match=r"line 2, column 10: the tag '!!python/.* is not read") as refusal:
        load_params(tmp_path)
    one_line(refusal)


ADDRESSES = [
    f"postgresql://someone:{SECRET}@host:5432/mlflow",
    f"postgresql://someone:{SECRET}/x@host/mlflow",
    f"postgresql://someone:a@{SECRET}@host/mlflow",
    f"postgresql://host/mlflow?user=someone&password={SECRET}",
    f"mysql+pymysql://host/mlflow?passwd={SECRET}&x=1",
    f"http://{SECRET}@host:5000",
    f"https://host/path?access_token={SECRET}",
    f"ftp://someone:{SECRET}@host",
    f"someone:{SECRET}@host/mlflow",
    f"postgres//someone:{SECRET}@host/mlflow",
    f"http://someone:{SECRET}@",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_message_shows_a_password(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECRET not in uri.shown(address)
    assert "host" in uri.shown(address) or address.endswith("@")
    assert SECRET not in uri.one_line(RuntimeError(f"cannot reach {uri.shown(address)} of someone"))
    if "://" in address:
        assert SECRET not in without_secrets(f"could not connect to {address} in time")
        assert SECRET not in str(UserError(f"it is {address!r}"))
        stream = io.StringIO()
        PlainReporter(stream).warning(f"tracking with mlflow: cannot reach {address}")
        assert SECRET not in stream.getvalue()
    refused: list[str] = []
    try:
        uri.resolve(tmp_path, address)
    except UserError as error:
        refused.append(str(error))
    assert SECRET not in "".join(refused)


@pytest.mark.parametrize(
    "text",
    [
        f"tracking:\n  uri: [postgresql://someone:{SECRET}@host/mlflow]\n",
        f"tracking:\n  uri: postgresql://someone:{SECRET}@host/mlflow: x\n",
        f"tracking:\n  uri: 'postgresql://someone:{SECRET}@host/mlflow\n",
        f'tracking:\n  uri: "postgresql://someone:{SECRET}@host/mlflow\\0"\n',
        f'tracking:\n  uri: "postgresql://someone:{SECRET}{"x" * 99}@host/mlflow\\0"\n',
        f"tracking:\n  uri: [postgresql://someone:{SECRET}{'x' * 99}@host/mlflow]\n",
        f"tracking:\n  url: postgresql://someone:{SECRET}@host/mlflow\n",
        f"tracking:\n  uri: {{address: postgresql://someone:{SECRET}@host/{'x' * 200}}}\n",
    ],
)
def test_a_refusal_of_params_shows_no_password(text: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as refusal:
        load_params(tmp_path)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("sign", ["'", '"', "<", ">", " ", "/", "@"])
def test_no_message_shows_a_password_with_a_sign_that_may_end_an_address(sign: str) -> None:
    for password in (f"pass{sign}word", f"1!a{sign}b"):
        text = f"cannot reach 'postgresql://someone:{password}@host/db' in time"
        assert without_secrets(text) == "cannot reach 'postgresql://***@host/db' in time"


def test_signatures_of_azure_are_hidden_and_what_only_looks_like_a_secret_is_not() -> None:
    address = "https://account.blob.core.windows.net/c/t.csv?sv=2024&sig=ab%2Bc%3D&se=2025"
    assert without_secrets(f"{address} is lost") == f"{address.replace('ab%2Bc%3D', '***')} is lost"
    for text in (
        "sig=0.05 of http://host:5000, ask me@host",
        "http://[::1]:5000 is down, ask me@host",
        "https://mlflow.example.com: 403 Forbidden; ask admin@example.com",
        "'http://host:port' is none, ask me@host; write @ in a password as %40",
        "http://host:port is none; write @ in a password as %40",
        "'odd://a:b' is none; use postgresql://user:password@host/name",
        "https://host/t.csv?design=x&sv=1",
        "postgresql://host/db is of me@host",
    ):
        assert without_secrets(text) == text


def test_secrets_of_the_environment_are_hidden_and_folders_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "battery/staple")
    monkeypatch.setenv("PWD", "/some/folder")
    text = uri.hidden("401 for correct horse, 403 for battery/staple, in /some/folder")
    assert text == "401 for ***, 403 for ***, in /some/folder"
    assert uri.hidden("write postgresql://user:password@host/name") == "write postgresql://user:password@host/name"


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(zipfile.ZipInfo(name), b"x")
    return path


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "C:\\x.png", "..\\x.png", "\\\\server\\x.png"]
)  # fmt: skip
def test_an_archive_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "pictures.zip", "a/1.png", name)
    with pytest.raises(UserError, match="leads out") as refusal, pictures.listing(path, "data.source: pictures.zip"):
        pass
    one_line(refusal)


def test_links_bombs_and_pickles_in_archives_are_refused(tmp_path: Path, poison: Path) -> None:
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as packed:
        link = zipfile.ZipInfo("a/1.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
        packed.writestr("b/1.png", b"x")
    with pytest.raises(UserError, match="is a link") as refusal, pictures.listing(path, "data.source: links.zip"):
        pass
    one_line(refusal)
    np.savez(tmp_path / "harm.npz", x=np.array([Payload(poison)], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"is no \.npz that can be read") as refusal:
        pictures._of_arrays(tmp_path / "harm.npz", "data.source: harm.npz")
    one_line(refusal)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        header = b"\x93NUMPY\x01\x00"
        text = str({"descr": "|u1", "fortran_order": False, "shape": (10**12, 8, 8)}).encode().ljust(117) + b"\n"
        packed.writestr("x.npy", header + len(text).to_bytes(2, "little") + text + bytes(1 << 20))
    with pytest.raises(UserError) as refusal:
        pictures._of_arrays(tmp_path / "bomb.npz", "data.source: bomb.npz")
    one_line(refusal)


def test_a_zip_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for label in "ab":
            packed.writestr(f"{label}/1.png", bytes(pictures.LARGEST // 4))
    with pytest.raises(UserError, match="unpacks to") as refusal, pictures.listing(path, "data.source: bomb.zip"):
        pass
    one_line(refusal)
