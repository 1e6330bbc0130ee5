"""What is no function of a pipeline's inputs: when each stage ran, how long it took, at which commit.

No out may hold it, or equal inputs would not give equal bytes. It is kept in .work, and ``run.js``, which is no out,
hands it to the report beside it.
"""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks import files, pipeline, report_page

NOTES = Path(".work", "notes.json")
FOLDER = Path("artifacts", "report")
PAGE = FOLDER / "report.html"
SCRIPT = FOLDER / report_page.RUN


def note(root: Path, stage: str, fingerprint: str, seconds: float, tags: Mapping[str, str]) -> None:
    """Keep that a stage has ended. fingerprint: of its inputs. tags: see `tasks.provenance`."""
    changed = " with changes" if tags["hone.git_dirty"] == "true" else ""
    commit = tags["hone.git_commit"]
    about = {
        "fingerprint": fingerprint,
        "seconds": round(seconds, 3),
        "ended": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": commit if commit == "none" else f"{commit[:10]}{changed}",
    }
    files.write_json(root / NOTES, {**_read(root), stage: about})


def write(root: Path, params: Mapping[str, Any]) -> None:
    """Write run.js for the report that is there, if one is: of the stages that ran with the inputs of now.

    params: the whole of params.yaml, defaults filled in.
    """
    page = root / PAGE
    if not page.is_file() or (made_of := report_page.read_mark(page.read_text(encoding="utf-8"))) is None:
        return
    notes = _read(root)
    stages = [
        [name, about["seconds"], about["ended"], about["commit"]]
        for name, spec in pipeline.specs(root).items()
        if (about := notes.get(name)) is not None
        and about["fingerprint"] == pipeline.fingerprint(root, spec, dict(params))
    ]
    files.write_text(root / SCRIPT, report_page.run_script({"made_of": made_of, "stages": stages}))


def _read(root: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept, by stage; what is damaged is left out."""
    keys = {"fingerprint": str, "seconds": float | int, "ended": str, "commit": str}
    with contextlib.suppress(OSError, ValueError):
        found = files.read_json(root / NOTES)
        if isinstance(found, dict):
            return {
                name: about
                for name, about in found.items()
                if isinstance(about, dict) and all(isinstance(about.get(key), kind) for key, kind in keys.items())
            }
    return {}
