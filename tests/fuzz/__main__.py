"""Big numbers of generated cases: ``python -m tests.fuzz [--params 2000] [--data 500] [--files 500] [--seed 0]``."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import params, stored, tables
from tests.fuzz.harness import Tally, tally


def main() -> int:
    """Run so many cases of each kind and print what came of them; return 1 if there is a traceback among it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    for name, default in (("params", 2000), ("data", 500), ("files", 500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    found: list[tuple[Tally, float]] = []
    with tempfile.TemporaryDirectory(prefix="hone-fuzz-") as folder:
        place = Path(folder)
        kinds = (
            ("params", asked.params, params.FILES, params.Project(place / "params").run),
            ("data", asked.data, tables.CASES, tables.Project(place / "data").run),
            ("files", asked.files, *_stored(place / "files")),
        )
        for name, n, cases, run in kinds:
            started = time.perf_counter()
            if n:
                found.append((tally(name, cases, run, n, number=asked.seed, alarm=True), time.perf_counter() - started))
    print(f"{'':8}{'cases':>8}{'ran':>8}{'refused':>9}{'tracebacks':>12}{'seconds':>9}")
    for one, seconds in found:
        cases = one.ran + one.refused + one.failed
        print(f"{one.name:8}{cases:8}{one.ran:8}{one.refused:9}{one.failed:12}{seconds:9.0f}")
    for one, _ in found:
        for what, (times, shortest, detail) in sorted(one.faults.items(), key=lambda item: -item[1][0]):
            print(f"\n{one.name}, {times} times: {what}\n{shortest[:3000]}\n{detail}")
    return int(any(one.failed for one, _ in found))


def _stored(place: Path) -> tuple[object, ...]:
    whole = stored.Stored(place)
    return whole.cases(), whole.run


if __name__ == "__main__":
    sys.exit(main())
