"""Files that Hone wrote and something damaged: cut short, bits turned, values swapped; and what reading them gives."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from hone.training.checkpoint import Checkpoint
from hone.trial import Result, State, Trial
from tasks import allowance, budget, checkpoints, journal, lines, model_store, start_from, trials, warm_start
from tasks.tracking import Entry
from tasks.tracking.entry import Tracker
from tasks.tracking.spool import SpoolingTracker
from tests.fuzz.harness import Outcome, dice, outcome
from tests.tasks import small_model

ODD = [None, True, -1, 0, 2**70, 1e308, float("nan"), "", "os:system", "x" * 5000, [], {}, [[1]], {"a": None}, "\ud800"]


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return a file's bytes, damaged; as they are now and then."""
    random = draw(dice)
    how = random.choice(
        ["cut", "bits", "bits", "bytes", "inserted", "zeros", "rubbish", "json", "json", "json", "as it is", "twice"]
    )
    found = bytearray(content)
    at = random.randrange(len(content) + 1)
    if how == "cut":
        return content[:at]
    if how == "bits":
        for _ in range(random.choice([1, 1, 3])):
            found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    elif how == "bytes":
        found[at : at + random.choice([1, 8])] = random.randbytes(random.choice([1, 8]))
    elif how == "inserted":
        found[at:at] = random.randbytes(random.choice([1, 8, 300]))
    elif how == "zeros":
        found[at : at + 512] = bytes(len(found[at : at + 512]))
    elif how == "rubbish":
        return random.choice(
            [b"", b"\0", b"{}", b"[]", b"null", b"\n\n", b"PK\x03\x04", b"PAR1", random.randbytes(64), b"[" * 9000]
        )
    elif how == "twice":
        return content + content
    elif how == "json":
        return _swapped(content, random)
    return bytes(found)


def _swapped(content: bytes, random: Any) -> bytes:
    """Return JSON, or lines of it, with a value replaced by an odd one, a key removed or one added."""
    lines = content.split(b"\n") if content.count(b"\n{") or content[:2] == b'{"' else [content]
    which = random.randrange(len(lines))
    try:
        value = json.loads(lines[which])
    except ValueError:
        return content
    places = list(_places(value))
    if not places:
        return content
    holder, key = random.choice(places)
    how = random.random()
    if how < 0.15 and isinstance(holder, dict):
        del holder[key]
    elif how < 0.25 and isinstance(holder, dict):
        holder["odd"] = random.choice(ODD)
    else:
        holder[key] = random.choice([*ODD, holder[key], [holder[key]], {"x": holder[key]}])
    return b"\n".join([*lines[:which], json.dumps(value).encode(), *lines[which + 1 :]])


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


class _Deaf(Tracker):
    """Takes nothing, so that what was read stays."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def log(self, entry: Entry) -> None:
        self.entries.append(entry)

    def close(self) -> None:
        pass


def results() -> list[Result]:
    """Return results as a search writes them."""
    found = []
    for number in range(4):
        config = {"learning_rate": 0.01 * (number + 1), "batch_size": 32, "optimizer": "adamw"}
        trial = Trial(study="search_random", number=number, generation=0, config=config, resource=4, origin="default")
        curve = tuple(0.5 + 0.01 * number - 0.001 * epoch for epoch in range(4))
        found.append(
            Result(trial=trial, state=State.COMPLETE, objective=min(curve), curve=curve, best_epoch=4, cost=4.0)
        )
    return found


class Stored:
    """Files of every kind, whole, in a folder; a case is one of them, damaged."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir(parents=True)
        self.model = small_model.write(place / "model", "binary", networks=1)
        self._rows = small_model.strange_rows("binary")
        self._expected = model_store.load(self.model).predict(self._rows)
        written = journal.Journal(place / "journal.jsonl")
        for result in results():
            written.append(result)
        tensors = {"model.w": torch.arange(6.0), "best.w": torch.ones(6), "optimizer.0.step": torch.tensor(3.0)}
        self._checkpoint = Checkpoint(
            tensors, {"family": "mlp", "config": {"a": 1}, "seed": 1, "epoch": 3, "curve": [0.5, 0.4]}
        )
        checkpoints.write(place / "checkpoints", "search_random-0001", self._checkpoint)
        trials.write(place / "warm.parquet", results(), "accuracy")
        (place / "start.safetensors").write_bytes(start_from.content(self.model))
        allowed = allowance.Allowance(epochs=100.0, training=4, seeds=2, prices={"family": {"mlp": 1.0}})
        budget.write_down(place / "budget.lock", "x" * 64, allowed, budget.Measurement(0.1, 2, {}))
        self._allowed = allowed
        self._entries = [
            Entry(
                key=f"p/{number}",
                kind="stage",
                name="split",
                params={"a": "b"},
                metrics=(("m", 1.0, 0),),
                files=("x",),
                at=1.0,
            )
            for number in range(3)
        ]
        text = "".join(lines.sealed(json.dumps(entry.to_json())) for entry in self._entries)
        (place / "spool.jsonl").write_text(text)
        self.contents = {
            name: (place / name).read_bytes()
            for name in (
                *(f"model/{file.name}" for file in sorted(self.model.iterdir())),
                "journal.jsonl",
                "checkpoints/search_random-0001.safetensors",
                "warm.parquet",
                "start.safetensors",
                "budget.lock",
                "spool.jsonl",
            )
        }

    def cases(self, *kinds: str) -> st.SearchStrategy[tuple[str, bytes]]:
        """Return a strategy of (file, its bytes). kinds: parts of the names of those that are damaged; none: all."""
        names = [name for name in self.contents if not kinds or any(kind in name for kind in kinds)]
        return dice.flatmap(lambda random: self._of(random.choice(names)))

    def _of(self, name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        return st.tuples(st.just(name), damaged(self.contents[name]))

    def run(self, case: tuple[str, bytes]) -> Outcome:
        """Return what comes of reading a damaged file."""
        name, content = case
        path = self.place / name
        whole = self.contents[name]
        readers: dict[str, Callable[[bool], None]] = {
            "model": self._read_model,
            "journal.jsonl": self._read_journal,
            "checkpoints": self._read_checkpoint,
            "warm.parquet": self._read_warm,
            "start.safetensors": self._read_start,
            "budget.lock": self._read_budget,
            "spool.jsonl": self._read_spool,
        }
        try:
            path.write_bytes(content)
            return outcome(functools.partial(readers[name.partition("/")[0]], content == whole))
        finally:
            path.write_bytes(whole)

    def _read_model(self, whole: bool) -> None:
        model = model_store.load(self.model)
        found = model.predict(self._rows)
        if whole:
            assert found.equals(self._expected)
        # What a person may edit, model.json, is checked for sense; the other files are as they were written.
        assert len(found) == len(self._rows)
        model_store.seen(self.model)

    def _read_journal(self, whole: bool) -> None:
        copied = self.place / "copied.jsonl"
        shutil.copyfile(self.place / "journal.jsonl", copied)
        found = journal.Journal(copied).results
        assert all(one in results() for one in found), "a result that was not written"
        if whole:
            assert found == results()
        again = journal.Journal(copied)
        again.append(results()[0])
        assert journal.Journal(copied).results == [*found, results()[0]], "what came after the damage is lost"

    def _read_checkpoint(self, whole: bool) -> None:
        try:
            found = checkpoints.read([self.place / "checkpoints"], "search_random-0001")
        except checkpoints.DamagedError:  # the search trains that trial again
            found = None
        if found is None:
            assert not whole
            return
        assert found.info == self._checkpoint.info, "info that was not written"
        assert set(found.tensors) == set(self._checkpoint.tensors), "tensors that were not written"
        for name, tensor in found.tensors.items():
            assert torch.equal(tensor, self._checkpoint.tensors[name]), "weights that were not written"

    def _read_warm(self, whole: bool) -> None:
        _, found = warm_start.read(self.place / "warm.parquet", "search.warm_start: warm.parquet")
        if whole:
            assert found == results()

    def _read_start(self, whole: bool) -> None:
        former = start_from.parse(self.place / "start.safetensors", "model.start_from: start.safetensors")
        assert former.weights
        if whole:
            assert former.family == "mlp"

    def _read_budget(self, whole: bool) -> None:
        found = budget.parsed(self.place / "budget.lock", "x" * 64)
        if whole:
            assert found == self._allowed

    def _read_spool(self, whole: bool) -> None:
        copied = self.place / "copied.spool"
        shutil.copyfile(self.place / "spool.jsonl", copied)
        deaf = _Deaf()
        SpoolingTracker(deaf, copied, name="fuzz", retry=0.01, patience=5).close()
        if whole:
            assert deaf.entries == self._entries
