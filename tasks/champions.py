"""Champions in the model registry: lines of models that can be compared, their history, and changes by hand.

A line is all versions with the same features, target, classes, positive class and metric. The alias `champion` serves
the champion of the line that was worked on last, or of the line that a person chose; the alias `line-N` keeps the
champion of line N. Importing this imports neither MLflow nor torch.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from hone.errors import UserError
from tasks import wording

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from hone.data.problem import Problem
    from hone.data.schema import Schema

CHAMPION, CHALLENGER = "champion", "challenger"
DECISION, MODEL, SEALED, METRIC = "hone.decision", "hone.model", "hone.sealed", "hone.metric"
"""Tags of a version: why it is champion or not, hashes of its model and of its sealed rows, its problem's metric."""
CONTENT = "hone.content"
"""Tag of a version: a hash of its model that does not depend on the metric, which is part of `MODEL`."""
INTERVAL, CONFIDENCE, SCORE = "hone.interval", "hone.confidence", "metric."
"""Tags of a version: the bounds of its score as JSON, their confidence, and the beginning of its metrics' names."""
LINE, LINE_KEY = "hone.line", "hone.line_key"
"""Tags of a version: the number of its line, and a hash of what its line's models have in common."""
LOOKS, BY_HAND = "hone.looks", "hone.by_hand"
"""Tags of a version: how many models its sealed rows had judged with it, and what people changed, in words."""
FIRST, NEW, NEW_LINE = "first champion", "new champion", "new line"
"""How the decision of a version begins that became champion."""
STAYS = "as it was set by hand"
"""In the decision on a version: another line's champion stays, which a person has set."""
SET, RETIRED, SET_BY_RUN = "set by hand", "retired by hand", "set by a run"
"""How the notes in `BY_HAND` begin. `SET_BY_RUN` ends what `SET` began."""
MOST_NAMED = 3
"""Columns that a sentence names."""
MOST_SHOWN = 20
"""Versions that the history shows."""


@dataclass(frozen=True)
class Line:
    """What the models of one line have in common. features: names and kinds of the columns used, sorted by name."""

    features: tuple[tuple[str, str], ...]
    target: str
    task: str
    classes: tuple[str | float, ...] | None
    positive: str | float | None
    metric: str

    @classmethod
    def of(cls, schema: "Schema", problem: "Problem") -> Self:
        """Return the line of a model with this schema, for this problem."""
        return cls(
            features=tuple(sorted((one.name, one.kind) for one in schema.columns if one.kind != "dropped")),
            target=problem.target,
            task=problem.task,
            classes=None if problem.classes is None else tuple(_label(one) for one in problem.classes),
            positive=None if problem.positive is None else _label(problem.positive),
            metric=problem.metric,
        )

    @property
    def key(self) -> str:
        """The same text for equal lines, and for no others."""
        return hashlib.sha256(json.dumps(vars(self), sort_keys=True).encode()).hexdigest()

    def differs(self, other: Self, version: str) -> str:
        """Return, in words, in what this line differs from that of a version."""
        said = []
        if self.target != other.target:
            said.append(f"the target is {self.target!r}, not {other.target!r}")
        elif self.task != other.task:
            said.append(f"the task is {self.task}, not {other.task}")
        elif self.classes != other.classes:
            said.append("the classes differ")
        elif self.positive != other.positive:
            said.append(f"the positive class is {self.positive!r}, not {other.positive!r}")
        if self.metric != other.metric:
            said.append(f"the metric is {wording.label(self.metric)}, not {wording.label(other.metric)}")
        ours, theirs = dict(self.features), dict(other.features)
        changes = [
            _listed(sorted(theirs.keys() - ours.keys()), "no longer used"),
            _listed(sorted(ours.keys() - theirs.keys()), "new"),
            *(
                f"`{name}` is {ours[name]}, not {theirs[name]}"
                for name in sorted(ours.keys() & theirs.keys())
                if ours[name] != theirs[name]
            ),
        ]
        if changes := [one for one in changes if one]:
            more = f" and {len(changes) - MOST_NAMED} more" if len(changes) > MOST_NAMED else ""
            said.append(f"features differ from version {version}'s ({', '.join(changes[:MOST_NAMED])}{more})")
        return ", ".join(said)


@dataclass(frozen=True)
class Registered:
    """A registered model. versions: by number, newest first. aliases: of versions' numbers, by name."""

    name: str
    versions: Mapping[str, "ModelVersion"]
    aliases: Mapping[str, str]

    def holder(self, alias: str) -> "ModelVersion | None":
        """Return the version with an alias, or None."""
        return self.versions.get(self.aliases.get(alias, ""))

    def lines(self) -> dict[str, str]:
        """Return the numbers of all lines by their keys."""
        return {
            one.tags[LINE_KEY]: one.tags[LINE]
            for one in self.versions.values()
            if LINE_KEY in one.tags and LINE in one.tags
        }

    def looks(self, sealed: str) -> int:
        """Return how many models the sealed rows with this hash have judged.

        Versions may have been deleted since, so that it can be more than are left.
        """
        same = self._judged_by(sealed)
        return max([len({_content(tags) for tags in same}), *(whole(tags.get(LOOKS)) for tags in same)])

    def looks_with(self, tags: Mapping[str, str]) -> int:
        """Return how many models the sealed rows have judged with the model of a new version, whose tags these are.

        A model that they judged before, by another metric too, is counted once.
        """
        is_known = any(_content(tags) == _content(one) for one in self._judged_by(tags[SEALED]))
        return self.looks(tags[SEALED]) + (not is_known)

    def retired_last(self, line_key: str | None = None) -> str | None:
        """Return the version that was last retired by hand, of a line or of all; None if none is."""
        dates = {
            number: last.removeprefix(RETIRED)
            for number, one in self.versions.items()
            if (last := _last_note(one.tags)).startswith(RETIRED) and line_key in (None, one.tags.get(LINE_KEY))
        }
        return max(dates, key=lambda number: (dates[number], int(number)), default=None)

    def _judged_by(self, sealed: str) -> list[Mapping[str, str]]:
        """Return the tags of all versions that the sealed rows with this hash have judged."""
        return [one.tags for one in self.versions.values() if one.tags.get(SEALED) == sealed]


def read(client: "MlflowClient", name: str) -> Registered | None:
    """Return what the registry holds of a model, or None if it knows none of this name."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    found: list[ModelVersion] = []
    token = None
    quoted = name.replace("'", "''")
    while True:
        page = client.search_model_versions(f"name = '{quoted}'", max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            break
    found.sort(key=lambda one: int(one.version), reverse=True)
    return Registered(name, {str(one.version): one for one in found}, {key: str(one) for key, one in aliases.items()})


def alias(line: str) -> str:
    """Return the alias of a line's champion."""
    return f"line-{line}"


def promote(client: "MlflowClient", name: str, version: str, line: str | None) -> None:
    """Make a version the champion, and its line's; it is a challenger no more."""
    client.set_registered_model_alias(name, CHAMPION, version)
    if line:
        client.set_registered_model_alias(name, alias(line), version)
    if str(client.get_registered_model(name).aliases.get(CHALLENGER)) == version:
        client.delete_registered_model_alias(name, CHALLENGER)


def promote_best(client: "MlflowClient", name: str, version: "ModelVersion", line: str | None) -> None:
    """Make the best version of a line the champion, because a model of this line was registered.

    A person may have set it earlier, and another one since. A note then says that a run has set it now.
    """
    if is_set_by_hand(version):
        _note(client, version, SET_BY_RUN)
    promote(client, name, str(version.version), line)


def is_set_by_hand(version: "ModelVersion") -> bool:
    """Return whether a champion, or a former one, was last made champion by a person."""
    return _last_note(version.tags).startswith(SET)


def set_by_hand(client: "MlflowClient", registered: Registered, version: str) -> bool:
    """Make a version the champion and note that a person did; return False if it is the champion already.

    A champion that no person has chosen yet gets the note too: from now on no other line takes its place.
    Raises UserError if there is no such version.
    """
    if version not in registered.versions:
        there = ", ".join(list(registered.versions)[:MOST_SHOWN]) or "none"
        raise UserError(
            f"--set: {registered.name!r} has no version {version}; there are {there}; `hone champion` lists them"
        )
    chosen = registered.versions[version]
    is_champion = registered.aliases.get(CHAMPION) == version
    if is_champion and is_set_by_hand(chosen):
        return False
    _note(client, chosen, SET)
    promote(client, registered.name, version, chosen.tags.get(LINE))
    return not is_champion


def retire(client: "MlflowClient", registered: Registered) -> str:
    """Take the champion's aliases away and note that a person did; return its version.

    Raises UserError if there is no champion.
    """
    champion = registered.holder(CHAMPION)
    if champion is None:
        raise UserError(f"--retire: {registered.name!r} has no champion; `hone champion --set VERSION` chooses one")
    version = str(champion.version)
    _note(client, champion, RETIRED)
    for name, holder in registered.aliases.items():
        if holder == version and name in (CHAMPION, alias(champion.tags.get(LINE, ""))):
            client.delete_registered_model_alias(registered.name, name)
    return version


def history(registered: Registered) -> tuple[list[str], list[list[str]]]:
    """Return a table of the newest versions that fits into 80 columns: its header and its rows, the newest first."""
    shown = list(registered.versions.values())[:MOST_SHOWN]
    metrics = {one.tags.get(METRIC, "") for one in shown}
    is_one = len(metrics) == 1
    header = ["version", "registered", "line", wording.label(*metrics) if is_one else "score", "status"]
    rows = [
        [
            str(one.version),
            datetime.fromtimestamp(one.creation_timestamp / 1000).strftime("%Y-%m-%d"),
            one.tags.get(LINE, wording.DASH),
            score(one.tags) if is_one else f"{wording.label(one.tags.get(METRIC, ''))} {score(one.tags, bare=True)}",
            status(registered, one),
        ]
        for one in shown
    ]
    return header, rows


def score(tags: Mapping[str, str], bare: bool = False) -> str:
    """Return a version's score on its sealed rows, with its interval; bare: without."""
    value = _number(tags.get(SCORE + tags.get(METRIC, "")))
    bounds: Any = None
    if not bare and INTERVAL in tags:
        bounds = [_number(one) for one in tags[INTERVAL].strip("[]").split(",")]
    return wording.with_interval(value, bounds if bounds and len(bounds) == 2 else None)


def status(registered: Registered, version: "ModelVersion") -> str:
    """Return what a version is or was, in a few words."""
    number, tags = str(version.version), version.tags
    last = _last_note(tags)
    if registered.aliases.get(CHAMPION) == number:
        return f"{CHAMPION}, by hand" if is_set_by_hand(version) else CHAMPION
    if last.startswith(RETIRED):
        return RETIRED
    if registered.aliases.get(alias(tags.get(LINE, ""))) == number:
        return "line's champion"
    decision = tags.get(DECISION, "not decided")
    outcome = decision.partition(":")[0].partition(",")[0]
    if last.startswith((SET, SET_BY_RUN)):
        return "former champion"
    if outcome.startswith((FIRST, NEW, NEW_LINE, CHAMPION)):
        return "line's former champion" if STAYS in decision else "former champion"
    return outcome.removesuffix(" beyond chance")


def seen_by(looks: int) -> str:
    """Return how many models the sealed rows have judged, and what follows from it."""
    if looks == 1:
        return "These sealed rows have judged 1 model."
    return (
        f"These sealed rows have judged {looks:,} models; the best of them looks better than it is. "
        "Confirm it on new rows."
    )


def whole(text: str | None) -> int:
    """Return the number that a tag holds; 0 if it holds none: anybody may set a tag."""
    return int(text) if text is not None and text.isdecimal() else 0


def _content(tags: Mapping[str, str]) -> str | None:
    """Return what tells a version's model from others: former versions of Hone left only a hash with the metric."""
    return tags.get(CONTENT, tags.get(MODEL))


def _last_note(tags: Mapping[str, str]) -> str:
    """Return what a person changed last; empty if nothing."""
    return tags.get(BY_HAND, "").rpartition("; ")[2]


def _note(client: "MlflowClient", version: "ModelVersion", what: str) -> None:
    """Add to a version's history what a person changed."""
    now = f"{what} on {datetime.now():%Y-%m-%d %H:%M}"
    former = version.tags.get(BY_HAND)
    client.set_model_version_tag(version.name, str(version.version), BY_HAND, f"{former}; {now}" if former else now)


def _label(label: str | float) -> str | float:
    return label if isinstance(label, str) else float(label)  # a gap in a column makes whole numbers floats


def _listed(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    shown = ", ".join(f"`{name}`" for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{shown}{more} {'is' if len(names) == 1 else 'are'} {what}"


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
