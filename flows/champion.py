"""Shows which model serves as champion, and which did; a person may choose another one, or none."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hone.errors import UserError
from tasks.reporting import Reporter

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from tasks.champions import Registered


def champion(root: Path, reporter: Reporter, *, choose: str | None = None, retire: bool = False) -> None:
    """Show the history of the project's registered model, after the change that is asked for.

    choose: the version to make champion. retire: whether to leave no champion. Raises UserError if both are asked for,
    tracking is off, the registry cannot be read or holds no such model, or there is no such version or no champion.
    """
    if choose is not None and retire:
        raise UserError("--set, --retire: choose a champion or retire it; use one of them")
    reporter.message("champion: asking the registry")  # importing MLflow takes seconds
    from tasks import champions

    client, name = _connected(root)
    registered = _read(client, name)
    if choose is not None:
        choose = choose.removeprefix("v")  # as in "v3"
        changed = champions.set_by_hand(client, registered, choose)
        reporter.message(f"version {choose} is the champion {'now' if changed else 'already'}")
    if retire:
        version = champions.retire(client, registered)
        reporter.message(f"version {version} is retired")
    _show(_read(client, name) if choose is not None or retire else registered, reporter)


def _connected(root: Path) -> tuple["MlflowClient", str]:
    """Return a client of the registry that params name, and the model's name there; nothing is created."""
    from tasks.params import read_params
    from tasks.tracking import OFF
    from tasks.tracking.mlflow import connect
    from tasks.tracking.uri import one_line, resolve, shown, sqlite_path

    tracking = read_params(root).tracking
    if tracking.uri == OFF:
        raise UserError("tracking.uri: none, so there is no registry; leave it empty for mlflow.db in the project")
    address = resolve(root, tracking.uri)
    path = sqlite_path(address)
    if path is not None and not path.exists():
        raise UserError(f"{path.name}: not there, so no model is registered yet; `hone tune` registers one")
    try:
        return connect(address), tracking.model
    except Exception as error:  # a store's are of many kinds
        raise UserError(
            f"tracking.uri: {shown(address)} cannot be used ({one_line(error)}); start or mend it, or name another one"
        ) from error


def _read(client: "MlflowClient", name: str) -> "Registered":
    from tasks import champions
    from tasks.tracking.uri import one_line

    try:
        registered = champions.read(client, name)
    except Exception as error:  # a store's are of many kinds
        raise UserError(f"{name}: the registry cannot be read ({one_line(error)}); start or mend it") from error
    if registered is None or not registered.versions:
        raise UserError(f"{name}: the registry holds no model of this name; `hone tune` registers one")
    return registered


def _show(registered: "Registered", reporter: Reporter) -> None:
    """Show a table of the newest versions, why the champion is one, and how often its rows have been looked at."""
    from tasks import champions
    from tasks.champions import BY_HAND, CHAMPION, DECISION, LOOKS, MOST_SHOWN

    header, rows = champions.history(registered)
    more = len(registered.versions) - MOST_SHOWN
    reporter.table(f"Model {registered.name!r}" + (f", newest {MOST_SHOWN}" if more > 0 else ""), header, rows)
    newest = next(iter(registered.versions.values()))
    holder = registered.holder(CHAMPION)
    if holder is None:
        reporter.message(
            "no champion: the next model of a line without a champion becomes champion; "
            "`hone champion --set VERSION` chooses one"
        )
    for version in dict.fromkeys((str((holder or newest).version), str(newest.version))):
        tags = registered.versions[version].tags
        said = [text for text in (tags.get(DECISION), tags.get(BY_HAND)) if text]
        reporter.message(f"version {version}: {'; '.join(said) or 'not decided'}")
    for name, version in sorted(registered.aliases.items()):
        if name == CHAMPION or name.startswith("line-"):
            reporter.message(f"models:/{registered.name}@{name} is version {version}")
    if looks := champions.whole((holder or newest).tags.get(LOOKS)):
        most = max(looks, registered.looks((holder or newest).tags.get(champions.SEALED, "")))
        reporter.message(champions.seen_by(most))


if __name__ == "__main__":
    from flows import cli

    cli.run(["champion", *sys.argv[1:]])
