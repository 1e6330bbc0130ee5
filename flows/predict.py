"""Predicts a file with the tuned model."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from hone.errors import UserError
from tasks import model_store, params, pictures, tables
from tasks import predict as pieces
from tasks.model_store import Predictor
from tasks.reporting import Reporter

MODEL = Path("artifacts") / "retrain" / "model"
REGISTRY = "models:/"


def predict(
    root: Path,
    table: Path,
    out: Path | None,
    model: str | None,
    keep: Sequence[str],
    reporter: Reporter,
    *,
    overwrite: bool = False,
    trusted: Collection[str] = (),
) -> Path:
    """Return where the predictions for a table are, after writing them.

    table: a file, or pictures. out: a .csv or .parquet; None: beside the table, as NAME.predictions.csv; of
    one in data/raw, where a new file makes the data stale, in the project's folder. model: a
    model's folder, or a name in MLflow's registry (models:/...); None: the project's tuned model. keep: the table's
    columns to write along.
    overwrite: whether a file that is there may be replaced. trusted: families of a person's own that the model may
    import and call, beside the project's. Raises UserError, and writes nothing, if the model or
    the table cannot be read or do not fit.
    """
    place = out if out is not None else _beside(root, table)
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


def _beside(root: Path, table: Path) -> Path:
    is_data = table.parent.resolve().is_relative_to((root / "data" / "raw").resolve())
    folder = root if is_data else table.parent
    return folder / f"{_stem(table)}.predictions.csv"


def _stem(table: Path) -> str:
    endings = (*tables.ENDINGS, *pictures.ARCHIVES) if table.is_file() else ()
    ending = next((each for each in endings if table.name.lower().endswith(each)), "")
    return table.name[: len(table.name) - len(ending)]


if __name__ == "__main__":
    from flows import cli

    cli.run(["predict", *sys.argv[1:]])
