"""The final model as MLflow packs models: loaded by our own code, which it takes along, and without pickle."""

import importlib.metadata
import re
import shutil
import tempfile
import warnings
from collections.abc import Collection, Set
from pathlib import Path
from typing import Any

import pandas as pd

from tasks import model_store
from tasks.model_store import Predictor
from tasks.provenance import LOCK_FILE

N_EXAMPLES = 5
# What loading and predicting imports; a custom family's own needs are for its author to add.
PACKAGES = (
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "rtdl_num_embeddings",
    "rtdl_revisiting_models",
    "safetensors",
    "scikit-learn",
    "scipy",
    "skops",
    "tabm",
    "torch",
)
REPOSITORY = Path(__file__).resolve().parents[1]
# The modules of tasks/ that a model takes along; hone/ goes as a whole.
TASKS = ("__init__.py", "files.py", "model_format.py", "model_store.py")


def save(
    folder: Path,
    model: Path,
    example: pd.DataFrame,
    *,
    root: Path,
    trusted: Collection[str] = (),
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write an MLflow model that takes raw rows and needs neither pickle nor this repository.

    trusted: see `model_store.load`. example: raw rows; the first few are kept with the model, and fix the order of its
    columns.

    Columns of pictures are of MLflow's type `binary`: the bytes of their files, in JSON as base64. All others are
    `any`, because MLflow converts next to nothing, and each of its types refuses rows that the preprocessor reads:

    - `double` refuses whole numbers (int64) and text of numbers, `long` refuses numbers with a gap (float64);
    - `string` refuses a column in which all is missing (float64), pandas' categories, and codes read as numbers;
    - `boolean` refuses yes and no, 0 and 1; `datetime` refuses dates in text.

    The kind of each column stands in the version's description instead. The outputs are typed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own use of pandas, and of `any` in its own types
        import mlflow.pyfunc
        from mlflow.models import Model

        predictor = model_store.load(model, trusted)
        shown = example.loc[:, [*predictor.columns]].head(N_EXAMPLES).reset_index(drop=True)
        with tempfile.TemporaryDirectory() as scratch:
            mlflow.pyfunc.save_model(
                str(folder),
                loader_module="tasks.model_store",
                data_path=str(model),
                code_paths=_code(
                    Path(scratch), root, {one["family"] for one in model_store.describe(model)["networks"]}
                ),
                signature=_signature(predictor),
                input_example=shown,
                pip_requirements=requirements(root),
                mlflow_model=Model(model_id=model_id, run_id=run_id),
            )


def requirements(root: Path) -> list[str]:
    """Return pins of the few packages that a model needs: the lock file's, else the versions that are installed."""
    lock = root / LOCK_FILE
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.is_file() else []
    pinned = {_canonical(line.partition("==")[0]): line.strip() for line in lines if "==" in line}
    return [
        pinned.get(_canonical(name)) or f"{name}=={importlib.metadata.version(name).partition('+')[0]}"
        for name in PACKAGES
    ]


def _signature(predictor: Predictor) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    classes = predictor.problem.classes
    kinds = {bool: "boolean", int: "long", float: "double", str: "string"}
    label = "double" if classes is None else kinds[type(classes[0])]
    whatever: Any = AnyType
    image = predictor.preprocessor.schema.image
    inputs: list[Any] = [
        ColSpec("binary" if image is not None and name == image.name else whatever(), name)
        for name in predictor.columns
    ]
    outputs: list[Any] = [ColSpec(label, "prediction")]
    outputs += [ColSpec("double", f"probability_{name}") for name in classes or ()]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _code(scratch: Path, root: Path, families: Set[str]) -> list[str]:
    """Return what a model takes along: hone/, what it needs of tasks/, and the modules of custom families."""
    (scratch / "tasks").mkdir()
    for name in TASKS:
        shutil.copyfile(REPOSITORY / "tasks" / name, scratch / "tasks" / name)
    paths = [REPOSITORY / "hone", scratch / "tasks"]
    for top in sorted({family.partition(":")[0].partition(".")[0] for family in families if ":" in family}):
        own = root / top if (root / top).is_dir() else root / f"{top}.py"
        if own.exists() and top not in ("hone", "tasks"):  # what is installed elsewhere is for pip
            paths.append(own)
    return [str(path) for path in paths]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip().lower()
