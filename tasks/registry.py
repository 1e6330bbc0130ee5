"""The model registry: a challenger is registered, and becomes champion if it is better on rows new to both.

What can be compared with what, and what people change by hand, is in `champions`.
"""

import contextlib
import hashlib
import json
import math
import re
import shlex
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.rows import Seen
from hone.data.schema import Schema
from hone.errors import UserError, without_secrets
from hone.evaluation import bootstrap, calibration
from hone.evaluation.bootstrap import Interval
from hone.seeds import derive
from tasks import champions, composition, markdown, model_store, params, pyfunc, record, wording
from tasks.champions import (
    BY_HAND,
    CHALLENGER,
    CHAMPION,
    CONFIDENCE,
    CONTENT,
    DECISION,
    FIRST,
    INTERVAL,
    LINE,
    LINE_KEY,
    LOOKS,
    METRIC,
    MODEL,
    NEW,
    NEW_LINE,
    SCORE,
    SEALED,
    Line,
    Registered,
)
from tasks.model_store import Predictor
from tasks.params import Params, Tracking
from tasks.tracking import OFF, uri
from tasks.tracking.mlflow import KEY, PIPELINE, connect, find_experiment, find_runs
from tasks.tracking.spool import ignore
from tasks.tracking.uri import one_line

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

FEWEST_ROWS = 30
"""On fewer rows than this a challenger is not compared with the champion."""
LONGEST = 5000
"""Characters of a tag and of a description that MLflow takes."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version in the registry. decision: why it is champion or not, in a sentence.

    run: the id of its pipeline's run in MLflow, if that is there. is_new: it was not there before this call.
    looks: how many models its sealed rows have judged; 0 if that is not known.
    """

    name: str
    version: str
    is_champion: bool
    decision: str
    run: str | None = None
    is_new: bool = True
    looks: int = 0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that was just evaluated.

    pipeline: the key of its pipeline. model: its folder. sealed: a hash of the file of sealed rows. evaluation: what
    `evaluate` found, as evaluation.json holds it. tags: of its origin (see `provenance.tags`).
    """

    pipeline: str
    model: Path
    sealed: str
    evaluation: Mapping[str, Any]
    tags: Mapping[str, str]


def publish(
    root: Path,
    settings: Params,
    candidate: Candidate,
    *,
    rows: pd.DataFrame,
    example: pd.DataFrame,
    warn: Callable[[str], None] = ignore,
) -> Published | None:
    """Register a model as challenger, and as champion if its line has none or it is better than that beyond chance.

    A champion that a person set stays champion against models of other lines: those become champion of their line only.

    A version is identified by its model, its sealed rows and its metric; one that is there already gets the scores and
    description of this evaluation, and its decision stays. rows: the sealed rows, target included. A champion of an
    earlier split may have been trained on some of them, so both models are scored on those that neither was trained
    on. example: raw rows that are not sealed, the first few of which are shown with the model.

    A line's champion that cannot be scored on these rows stays its champion, with a warning, and so does one that can
    be scored on too few of them. Return None, after one warning, if anything fails: a tuned model is worth keeping
    whether a registry takes it or not.
    """
    tracking = settings.tracking
    if tracking.uri == OFF:
        return None
    try:
        return _Registry(root, settings, warn).publish(candidate, rows, example)
    except Exception as error:
        warn(
            f"registry: {tracking.model!r} is not registered ({one_line(error)}); "
            f"the model is in {candidate.model.name}/"
        )
        return None


@dataclass(frozen=True)
class _Model:
    """A model, and fingerprints of the rows that it was trained on, none if they are not known.

    former: rows that the weights it started from were trained on.
    """

    predictor: Predictor
    seen: NDArray[np.uint64]
    former: tuple[Seen, ...] = ()

    def knows(self, rows: pd.DataFrame) -> tuple[NDArray[np.bool_], bool]:
        """Return which raw rows it, or what it started from, was trained on, [n], and whether all of that can be told.

        Former weights may be of another table: where it cannot be told they count as trained on none of the rows.
        """
        known, told = np.zeros(len(rows), dtype=np.bool_), True
        if len(self.seen):
            known |= np.isin(self.predictor.preprocessor.fingerprints(rows), self.seen)
        for one in self.former:
            try:
                known |= one.knows(rows)
            except UserError:
                told = False
        return known, told


@dataclass(frozen=True)
class _Verdict:
    """Whether a challenger is better than the champion, None if they cannot be compared, and why.

    is_there: whether the champion's files could be read.
    """

    is_better: bool | None
    decision: str
    is_there: bool = True


class _Registry:
    """A connection to the registry that params name."""

    def __init__(self, root: Path, settings: Params, warn: Callable[[str], None]) -> None:
        tracking = settings.tracking
        self._root = root
        self._settings = settings
        self._uri = uri.resolve(root, tracking.uri)
        self._name = tracking.model
        self._trusted = params.trusted(root)
        self._warn = warn
        self._client: MlflowClient = connect(self._uri)
        self._experiment = find_experiment(self._client, root, self._uri, tracking.experiment)

    def publish(self, candidate: Candidate, rows: pd.DataFrame, example: pd.DataFrame) -> Published:
        own = str(record.md5(candidate.model))
        model = model_store.describe(candidate.model)
        described = model["preprocessor"]
        schema, problem = Schema.from_json(described["schema"]), Problem.from_json(described["problem"])
        registered = champions.read(self._client, self._name) or Registered(self._name, {}, {})
        values = {MODEL: own, SEALED: candidate.sealed, METRIC: problem.metric}
        version = _known(registered, candidate.pipeline, values)
        values |= _scores(problem.metric, candidate.evaluation, self._settings.evaluate.confidence)
        is_new = version is None or DECISION not in version.tags
        if version is not None and DECISION in version.tags:
            self._set_tags(version, values)
        else:
            challenger, line = self._read(candidate.model), Line.of(schema, problem)
            champion = registered.holder(CHAMPION)
            lines = registered.lines() | self._adopted(champion, registered)
            values |= {LINE: lines.get(line.key) or _next(lines), LINE_KEY: line.key}
            if version is None:
                origin = {key: str(value)[:LONGEST] for key, value in candidate.tags.items()}
                values |= {CONTENT: _content(model)}
                origin |= {PIPELINE: candidate.pipeline, LOOKS: str(registered.looks_with(values))}
                version = self._register(candidate.model, example, origin | values)
            else:  # a kill came in between
                self._set_tags(version, values)
            self._client.set_registered_model_alias(self._name, CHALLENGER, str(version.version))
            registered = champions.read(self._client, self._name) or registered
            decision = self._decide(str(version.version), line, challenger, registered, rows)
            # Last: from here on it is done.
            self._client.set_model_version_tag(self._name, str(version.version), DECISION, decision[:LONGEST])
        version = self._client.get_model_version(self._name, str(version.version))
        description = describe(version, schema, problem, candidate, self._settings)
        if version.description != description:
            self._client.update_model_version(self._name, str(version.version), description)
        by_hand = version.tags.get(BY_HAND)
        aliases = self._client.get_registered_model(self._name).aliases
        return Published(
            name=self._name,
            version=str(version.version),
            is_champion=str(aliases.get(CHAMPION)) == str(version.version),
            decision=version.tags[DECISION] + (f"; {by_hand}" if by_hand else ""),
            run=self._run(candidate.pipeline) or version.run_id or None,
            is_new=is_new,
            looks=champions.whole(version.tags.get(LOOKS)),
        )

    def _set_tags(self, version: "ModelVersion", values: Mapping[str, str]) -> None:
        """Set those tags of a version that it does not have."""
        for key, value in values.items():
            if version.tags.get(key) != value:
                self._client.set_model_version_tag(self._name, str(version.version), key, value)

    def _register(self, model: Path, example: pd.DataFrame, tags: Mapping[str, str]) -> "ModelVersion":
        """Upload the model and return its new version."""
        self._ensure_name()
        pipeline = tags[PIPELINE]
        run_id = self._run(pipeline)
        name = re.sub(r"[^\w-]", "_", self._name)  # a logged model's name may hold less than a registered one's
        logged = self._client.create_logged_model(self._experiment, name, run_id, {PIPELINE: pipeline}, {}, "pyfunc")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            pyfunc.save(
                folder, model, example, root=self._root, trusted=self._trusted, model_id=logged.model_id, run_id=run_id
            )
            self._client.log_model_artifacts(logged.model_id, str(folder))
        self._client.finalize_logged_model(logged.model_id, "READY")
        # A database's registry would look a model's id up in MLflow's global store; a server knows its own.
        is_server = self._uri.partition("://")[0] in uri.SERVERS
        return self._client.create_model_version(
            self._name,
            f"models:/{logged.model_id}" if is_server else logged.artifact_location,
            run_id,
            tags=dict(tags),
            model_id=logged.model_id if is_server or run_id else None,
        )

    def _decide(
        self,
        number: str,
        line: Line,
        challenger: "_Model",
        registered: Registered,
        rows: pd.DataFrame,
    ) -> str:
        """Move the aliases as version `number` deserves it; return the decision."""
        tags = registered.versions[number].tags
        champion, line_number = registered.holder(CHAMPION), tags[LINE]
        # Without a line it is a former Hone's, and its files are gone: what it was cannot be told.
        is_of_line = champion is not None and champion.tags.get(LINE_KEY, line.key) == line.key
        rival = champion if is_of_line else registered.holder(champions.alias(line_number))
        own = f"{wording.label(line.metric)} {champions.score(tags)}"
        judged = f"the sealed rows have judged {wording.plural(champions.whole(tags.get(LOOKS)), 'model')}"
        # A person's decision stands: against a champion of another line that was set by hand, this one wins its line.
        kept = champion if champion is not None and not is_of_line and champions.is_set_by_hand(champion) else None
        if rival is not None and str(rival.version) == number:  # a kill came between the alias and the tag
            self._promote(number, line_number, kept)
            begins = CHAMPION if kept is None else f"{CHAMPION} of its line"
            return f"{begins}: {own}; {judged}{_stays(kept, number)}"
        if rival is None:
            others = [one for version, one in registered.versions.items() if version != number]
            is_new = all(one.tags.get(LINE_KEY) != line.key for one in others)
            decision = FIRST if champion is None else NEW_LINE if is_new else f"{FIRST} of its line"
            retired = registered.retired_last(None if champion is None else line.key)
            if retired is not None and decision.startswith(FIRST):
                decision += f" since version {retired} was retired"
            if champion is not None:
                why = self._differs(champion, line)
                if kept is None:
                    self._warn_of(champion, number)
                decision += f": {why}; not compared"
            self._promote(number, line_number, kept)
            return f"{decision}{':' if champion is None else ';'} {own}; {judged}{_stays(kept, number)}"
        found = self._compare(challenger, rival, rows)
        best, decision, outcome = str(rival.version), found.decision, ""
        if found.is_better:
            if kept is not None:
                decision = decision.replace(NEW, f"{NEW} of its line", 1)
            self._promote(number, line_number, kept)
            outcome = _stays(kept, number)
        elif kept is not None:
            outcome = _stays(kept, best if found.is_there else number)
        elif not is_of_line:
            # `champion` is to take the project's columns, so it moves even if the two could not be compared.
            back = f"there was no {CHAMPION}" if champion is None else f"the project is back at line {line_number}"
            if found.is_there:
                champions.promote_best(self._client, self._name, rival, line_number)
                outcome = f"; {back}, so version {best} is {CHAMPION}"
            else:  # nothing could load it
                now = "there still is none" if champion is None else f"version {champion.version} stays {CHAMPION}"
                outcome = f"; {back}, but the files of version {best} cannot be read, so {now}"
        if found.is_better is None:
            self._warn(
                f"registry: {self._name!r} {decision}; version {best} stays champion of its line{outcome}; "
                f"version {number} is registered as {CHALLENGER}: `hone champion --set {number}` makes it champion"
            )
        return f"{decision}; {judged}{outcome}"

    def _promote(self, number: str, line: str, kept: "ModelVersion | None") -> None:
        """Make a version champion of its line, and the champion unless another version is to be kept as that."""
        if kept is None:
            champions.promote(self._client, self._name, number, line)
        else:
            self._client.set_registered_model_alias(self._name, champions.alias(line), number)

    def _differs(self, champion: "ModelVersion", line: Line) -> str:
        """Return, in words, in what a line differs from the champion's."""
        former = str(champion.version)
        try:
            held = self._open(champion).predictor
            return line.differs(Line.of(held.preprocessor.schema, held.problem), former)
        except Exception:  # its files may be gone, and it is not needed
            return f"features, target, classes or metric are not those of version {former}"

    def _warn_of(self, champion: "ModelVersion", number: str) -> None:
        """Warn that version `number`, of another line, takes the champion's place. The decision says why."""
        former = str(champion.version)
        if (kept := champion.tags.get(LINE)) is None:
            there = f"models:/{self._name}/{former}"
        else:
            there = f"models:/{self._name}@{champions.alias(kept)}"
        self._warn(
            f"registry: version {number} of {self._name!r} is {CHAMPION} in place of version {former}, without a "
            f"comparison. The former champion is {there}; `hone champion --set {former}` brings it back"
        )

    def _compare(self, challenger: "_Model", champion: "ModelVersion", rows: pd.DataFrame) -> _Verdict:
        """Compare a challenger with the champion of its line on the sealed rows that neither was trained on."""
        problem, evaluate = challenger.predictor.problem, self._settings.evaluate
        group = composition.group(self._settings)
        holder = None
        try:
            holder = self._open(champion)
            (theirs_seen, sure), (ours_seen, as_sure) = holder.knows(rows), challenger.knows(rows)
            unseen = rows[~(theirs_seen | ours_seen)]
            if len(unseen) >= FEWEST_ROWS:
                truth = problems.encode(problem, unseen[problem.target])
                predictions = {
                    name: _prediction(model.predictor, problem.metric, unseen)
                    for name, model in ((CHALLENGER, challenger), (CHAMPION, holder))
                }
        except Exception as error:
            said = f"not compared: champion version {champion.version} cannot be scored on these rows"
            return _Verdict(None, f"{said} ({one_line(error)})", is_there=holder is not None)
        if len(unseen) < FEWEST_ROWS:
            few = f"only {len(unseen)} of {len(rows)} test rows are new to both models, and {FEWEST_ROWS} are needed"
            return _Verdict(None, f"not comparable: {few}")
        which = f"{len(unseen)} test rows that neither was trained on"
        if not len(holder.seen):
            which = f"{len(unseen)} test rows; what version {champion.version} was trained on is not recorded"
        if not (sure and as_sure):
            which += "; whether the weights that they started from were trained on these cannot be told"
        ours, theirs = (metrics.score(problem.metric, problem, truth, one) for one in predictions.values())
        if math.isnan(ours) or math.isnan(theirs):
            return _Verdict(None, f"not comparable: {wording.label(problem.metric)} is undefined on {which}")
        drawn = bootstrap.scores(
            [problem.metric],
            problem,
            truth,
            predictions,
            n_resamples=evaluate.bootstrap,
            seed=derive(self._settings.seed, "registry"),
            groups=None if group is None else unseen[group].astype(str).to_numpy(dtype=str),
        )
        gain = bootstrap.gain(
            problem.metric,
            ours,
            theirs,
            drawn[CHALLENGER][problem.metric],
            drawn[CHAMPION][problem.metric],
            evaluate.confidence,
        )
        scores, confidence = (ours, theirs), evaluate.confidence
        said = _compared(problem.metric, gain, scores, str(champion.version), len(unseen), confidence)
        return _Verdict(gain.low > 0, f"{said} on {which}")

    def _adopted(self, champion: "ModelVersion | None", registered: Registered) -> dict[str, str]:
        """Give the champion of a former version of Hone a line; return that line's number by its key."""
        if champion is None or LINE_KEY in champion.tags:
            return {}
        try:
            held = self._open(champion).predictor
        except Exception:  # its files are gone: it belongs to no line
            return {}
        key, lines = Line.of(held.preprocessor.schema, held.problem).key, registered.lines()
        number = lines.get(key) or _next(lines)
        self._set_tags(champion, {LINE: number, LINE_KEY: key})
        self._client.set_registered_model_alias(self._name, champions.alias(number), str(champion.version))
        return {key: number}

    def _open(self, champion: "ModelVersion") -> "_Model":
        """Download a version's model and return it."""
        source = self._client.get_model_version_download_uri(self._name, str(champion.version))
        with _downloaded(source, self._uri) as model:
            return self._read(model)

    def _read(self, model: Path) -> "_Model":
        """Return the model in a folder."""
        return _Model(model_store.load(model, self._trusted), model_store.seen(model), model_store.former(model))

    def _ensure_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _run(self, pipeline: str) -> str | None:
        """Return the id of a pipeline's run, if there is one."""
        runs = find_runs(self._client, self._experiment, pipeline)
        return next((str(run.info.run_id) for run in runs if run.data.tags.get(KEY) == pipeline), None)


def load(root: Path, tracking: Tracking, name: str, trusted: Collection[str] = ()) -> Predictor:
    """Return a registered model, such as ``models:/hone@champion`` or ``models:/hone/3``.

    trusted: see `model_store.load`. Raises UserError as that and `opened` do.
    """
    with opened(root, tracking, name) as model:
        return model_store.load(model, trusted)


@contextlib.contextmanager
def opened(root: Path, tracking: Tracking, name: str) -> Iterator[Path]:
    """Yield the folder of a registered model, for as long as the block lasts.

    Raises UserError if tracking is off, there is no such model, or it is not one of Hone's.
    """
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", name)
    if found is None:
        raise UserError(f"{name}: names no registered model; write models:/NAME@ALIAS or models:/NAME/VERSION")
    if tracking.uri == OFF:
        raise UserError(f"{name}: tracking is off, so there is no registry; name a model's folder, or set tracking.uri")
    registered, alias, version = found.groups()
    store = uri.resolve(root, tracking.uri)
    with contextlib.ExitStack() as stack:
        try:
            client = connect(store)
            number = version or client.get_model_version_by_alias(registered, alias).version
            source = client.get_model_version_download_uri(registered, number)
            model = stack.enter_context(_downloaded(source, store))
        except Exception as error:  # a database's are of many kinds
            raise UserError(f"{name}: cannot be loaded ({one_line(error)}); `hone ui` lists the models") from error
        yield model


@contextlib.contextmanager
def _downloaded(source: str, tracking_uri: str) -> Iterator[Path]:
    """Yield the folder of Hone's own in an MLflow model, for as long as the block lasts."""
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(download_artifacts(source, dst_path=scratch, tracking_uri=tracking_uri))
        yield folder / Model.load(str(folder)).flavors["python_function"]["data"]


def _known(registered: Registered, pipeline: str, values: Mapping[str, str]) -> "ModelVersion | None":
    """Return the version with these values of its tags, the oldest of them, or None.

    Former versions of Hone left no hash of the sealed rows, and before that none of the model: there the pipeline
    tells.
    """
    oldest_first = list(registered.versions.values())[::-1]
    for one in oldest_first:
        if all(one.tags.get(key) == value for key, value in values.items()):
            return one
    former = [one for one in oldest_first if SEALED not in one.tags and one.tags.get(PIPELINE) == pipeline]
    return next((one for model in (values[MODEL], None) for one in former if one.tags.get(MODEL) == model), None)


def _content(described: Mapping[str, Any]) -> str:
    """Return a hash of a model that is equal for equal models, whatever their metric. described: its model.json."""
    preprocessor = described["preprocessor"]
    problem = {key: value for key, value in preprocessor["problem"].items() if key != "metric"}
    content = {**described, "preprocessor": {**preprocessor, "problem": problem}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stays(kept: "ModelVersion | None", best: str) -> str:
    """Return the end of a decision that leaves the champion as it was set by hand; empty if none is kept.

    best: the version that would be champion otherwise.
    """
    if kept is None:
        return ""
    return f"; version {kept.version} stays {CHAMPION}, {champions.STAYS}: `hone champion --set {best}` changes that"


def _next(lines: Mapping[str, str]) -> str:
    """Return the number of a new line. lines: the numbers of all others, by their keys."""
    return str(1 + max((champions.whole(number) for number in lines.values()), default=0))


def _scores(metric: str, evaluation: Mapping[str, Any], confidence: float) -> dict[str, str]:
    """Return a version's score on the sealed rows by every metric, and its interval by the problem's, as tags."""
    found = {f"{SCORE}{name}": repr(value) for name, value in evaluation["tuned"].items() if value is not None}
    bounds = evaluation["intervals"]["tuned"].get(metric, [None, None])
    return {**found, INTERVAL: json.dumps(bounds), CONFIDENCE: repr(confidence)}


def _prediction(predictor: Predictor, metric: str, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return a model's prediction for rows as a metric is to see it."""
    return calibration.for_metric(metric, predictor.problem, predictor.proba(rows), predictor.threshold)


def _compared(
    metric: str, gain: Interval, scores: tuple[float, float], version: str, n_rows: int, confidence: float
) -> str:
    """Return what the challenger's gain over the champion comes to. scores: the challenger's and the champion's."""
    found = wording.compare(metric, "this version", f"version {version}", gain, n_rows, confidence)
    begins = NEW if gain.low > 0 else "worse" if wording.is_worse(gain) else "not better beyond chance"
    ours, theirs = (wording.number(one) for one in scores)
    return f"{begins}: {found.text}; {wording.label(metric)} {ours} against {theirs}"


def describe(version: "ModelVersion", schema: Schema, problem: Problem, candidate: Candidate, settings: Params) -> str:
    """Return what a version's page says, as Markdown: verdict, scores, decision, how to serve it, where it is from."""
    evaluation, tags = candidate.evaluation, version.tags
    metric, tracking = problem.metric, settings.tracking

    def cell(model: str) -> str:
        return wording.with_interval(evaluation[model][metric], evaluation["intervals"].get(model, {}).get(metric))

    rivals = [name for name in ("defaults", *wording.RIVALS) if metric in evaluation.get(name, {})]
    looks, seen = champions.whole(tags.get(LOOKS)), len(model_store.seen(candidate.model))
    by_hand = f"; {tags[BY_HAND]}" if BY_HAND in tags else ""
    rows = f"{wording.plural(seen, 'row')} of " if seen else ""
    data_hash = tags.get("hone.data_hash", wording.DASH)[:12]
    origin = f"{rows}{markdown.code(settings.data.source)}, data hash {markdown.text(data_hash)}"
    commit = tags.get("hone.git_commit", "none")
    if commit != "none":
        edited = ", with uncommitted changes" if tags.get("hone.git_dirty") == "true" else ""
        origin += f", commit {markdown.text(commit[:12])}{edited}"
    address = without_secrets(tracking.uri or "sqlite:///mlflow.db")
    serve = f"mlflow models serve -m {shlex.quote(f'models:/{version.name}/{version.version}')}"
    serve = f"MLFLOW_TRACKING_URI={shlex.quote(address)} {serve} --env-manager local --host 127.0.0.1"
    again = f"`hone reproduce {version.run_id}`" if version.run_id else "no run in MLflow"
    if tags.get("hone.git_dirty") != "false":
        again += ", once what is not in git is committed"
    headline = next((one["message"] for one in evaluation.get("findings", ())), "")
    kinds = ", ".join(f"{one.name} ({one.kind})" for one in schema.columns if one.kind != "dropped")

    parts = [
        *([f"**{markdown.text(headline)}**"] if headline else []),
        f"| model | {wording.label(metric)}, sealed rows, {100 * settings.evaluate.confidence:g} % interval |\n"
        f"|---|---|\n| **this version** | {cell('tuned')} |\n"
        + "".join(f"| {wording.model(name)} | {cell(name)} |\n" for name in rivals),
        f"**Decision:** {markdown.text(tags[DECISION] + by_hand)}.",
        *([champions.seen_by(looks)] if looks else []),
        f"**Serve** (in the project's folder):\n\n{markdown.block(serve, 'bash')}",
        f"**Reproduce:** {again}",
        f"**Trained on:** {origin}",
        f"**Predicts** {markdown.text(_shown(problem))} from {markdown.text(kinds)}.",
    ]
    text = "\n\n".join(parts)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _shown(problem: Problem) -> str:
    of = "" if problem.classes is None else f" of {', '.join(map(str, problem.classes))}"
    return f"{problem.target!r} ({problem.task}{of})"
