"""Writes one of scikit-learn's sets as a table; a person's own file, or pictures, pass through as they are."""

from hone.data.images import LABEL
from tasks import files, pictures, sources, tables
from tasks.stage import Stage

FOLDER = ("data", "raw", "ingested")


def run(stage: Stage) -> None:
    """Write source.json, and table.csv for one of scikit-learn's sets.

    source.json holds nothing that depends on a person's file: DVC follows that file itself.
    """
    source = stage.params.data.source
    table = stage.path(*FOLDER, "table.csv")
    if sources.is_sklearn(source):
        frame, target = tables.load_sklearn(source)
        files.write_csv(table, frame)
        stage.reporter.message(f"{source}: {len(frame)} rows, {frame.shape[1] - 1} columns and the target {target!r}")
        content: dict[str, str | None] = {
            "source": source,
            "table": table.relative_to(stage.root).as_posix(),
            "target": target,
        }
    elif pictures.are_at(place := sources.locate(stage.root, source)):
        with pictures.listing(place, f"data.source: {source}") as found:
            n_classes = pictures.check_classes([entry.label for entry in found.entries], f"data.source: {source}")
            stage.reporter.message(f"{source}: {len(found.entries)} pictures of {n_classes} classes")
        table.unlink(missing_ok=True)
        content = {"source": source, "table": source, "target": LABEL}
    else:
        frame = tables.read_table(sources.locate(stage.root, source), source)
        table.unlink(missing_ok=True)  # left over from a former source
        stage.reporter.message(f"{source}: {len(frame)} rows, {frame.shape[1]} columns")
        content = {"source": source, "table": source, "target": None}
    files.write_json(stage.path(*FOLDER, "source.json"), content)
