"""Predicts a file with the tuned model."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hone.errors import UserError
from tasks import download, model_store, params, sources
from tasks import predict as pieces
from tasks.model_store import Predictor
from tasks.reporting import Reporter

MODEL = Path("artifacts") / "retrain" / "model"
REGISTRY = "models:/"


def predict(
    root: Path,
    table: Path | str,
    out: Path | None,
    model: str | None,
    keep: Sequence[str],
    reporter: Reporter,
    *,
    overwrite: bool = False,
    trusted: Collection[str] = (),
    folder: Path | None = None,
) -> Path:
    """Return where the predictions for a table are, after writing them.

    table: a file, a folder of parts of a table, pictures, or an address of them (https, s3). out: a .csv or .parquet;
    None: NAME.predictions.csv in `folder`, by default the current one. In data/raw, where a new file makes the data
    stale, it is the project's folder instead. model: a
    model's folder, or a name in MLflow's registry (models:/...); None: the project's tuned model. keep: the table's
    columns to write along.
    overwrite: whether a file that is there may be replaced. trusted: families of a person's own that the model may
    import and call, beside the project's. Raises UserError, and writes nothing, if the model or
    the table cannot be read or do not fit.
    """
    if isinstance(table, str) and sources.is_address(table):
        with download.fetched(root, table) as file:
            options: dict[str, Any] = {"overwrite": overwrite, "trusted": trusted, "folder": folder}
            return predict(root, file, out, model, keep, reporter, **options)
    table = Path(table)
    sources.check_kind(table)
    place = out if out is not None else _place(root, table, Path.cwd() if folder is None else folder)
    if place.exists() and table.exists() and place.samefile(table):
        raise UserError(f"--out: {place} is the table itself; name another file")
    if place.exists() and not overwrite:
        raise UserError(f"--out: {place} is there already; name another file, or say --overwrite")
    predictor = load(root, model, trusted)
    n_rows = pieces.predict(predictor, table, place, keep, reporter.warning)
    reporter.message(f"{place}: predictions of {predictor.problem.target!r} for {n_rows:,} rows")
    return place


def load(root: Path, model: str | None, trusted: Collection[str] = ()) -> Predictor:
    """Return the model of a folder or of MLflow's registry; None: the project's own. trusted: as in `predict`."""
    trusted = [*params.trusted(root), *trusted]
    if model is not None and model.startswith(REGISTRY):
        from tasks import registry

        return registry.load(root, params.load_params(root).tracking, model, trusted)
    if model is not None and not Path(model).exists():
        name = params.load_params(root).tracking.model
        raise UserError(
            f"--model: {model!r} is no folder; write a registered model as {REGISTRY}NAME@ALIAS, such as"
            f" {REGISTRY}{name}@champion, or leave it out for the tuned one"
        )
    return model_store.load(root / MODEL if model is None else Path(model), trusted)


def _place(root: Path, table: Path, folder: Path) -> Path:
    is_data = folder.resolve().is_relative_to((root / "data" / "raw").resolve())
    return (root if is_data else folder) / f"{_stem(table)}.predictions.csv"


def _stem(table: Path) -> str:
    name = table.name
    if not table.is_file():
        return name
    ending = sources.ending(name) or (".npz" if name.lower().endswith(".npz") else "")
    return name[: len(name) - len(ending)]


if __name__ == "__main__":
    from flows import cli

    cli.run(["predict", *sys.argv[1:]])
