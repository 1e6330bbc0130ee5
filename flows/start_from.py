"""Makes former weights what networks start from: a copy in data/start_from/, named in params.yaml."""

import sys
from pathlib import Path

from flows.warm_start import SILENT, derived, named_well
from hone.errors import UserError
from tasks import files, project, start_from
from tasks.params import load_params, read_params
from tasks.params_file import set_params
from tasks.reporting import Reporter

REGISTRY = "models:/"


def copy(root: Path, source: str, name: str | None, reporter: Reporter = SILENT) -> Path:
    """Return the place of former weights in the project, after copying them there and naming them in params.

    source: a model's folder, an earlier project, a state dict in safetensors, or ``models:/name@alias``. name: of the
    file; None derives one from the source. reporter: told what was copied. Raises UserError, leaving everything as it
    was, if there are no weights, they cannot be used with the params, or the name is taken by others.
    """
    named_well(name, "a file")
    place = root / start_from.FOLDER / f"{name if name is not None else _derived(source)}.safetensors"
    named = place.relative_to(root).as_posix()
    with project.lock(root, "hone start-from"):
        # Without the file that they name: it may be missing until it is copied here.
        params = read_params(root)
        if source.startswith(REGISTRY):
            from tasks import registry

            with registry.opened(root, params.tracking, source) as model:
                content = start_from.content(model)
        else:
            content = start_from.content(Path(source))
        taken = place.exists() or place.is_symlink()
        if taken and not (place.is_file() and place.read_bytes() == content):
            raise UserError(f"{named}: holds something else; choose another name with --name, or remove it")
        with files.undone_if_refused(place, root / "params.yaml"):
            files.write_bytes(place, content)
            set_params(root / "params.yaml", {"start_from": named}, section="model")
            load_params(root)
    former = start_from.parse(place, named)
    of = f"a {former.family} network that predicts {former.problem.target!r}" if former.problem else "a state dict"
    n_numbers = sum(tensor.numel() for tensor in former.weights.values())
    reporter.message(f"{source}: copied {of}, {len(former.weights)} tensors of {n_numbers:,} numbers")
    return place


def _derived(source: str) -> str:
    """Return a name for a source's weights: the registered model's, or of the path the part that says most."""
    if source.startswith(REGISTRY):
        return derived(source.removeprefix(REGISTRY).replace("@", "-").replace("/", "-"))
    path = Path(source.removesuffix(".safetensors")).absolute()
    telling = [part for part in path.parts[1:] if part not in ("artifacts", "retrain", "model")]
    return derived("/" + (telling[-1] if telling else ""))


if __name__ == "__main__":
    from flows import cli

    cli.run(["start-from", *sys.argv[1:]])
