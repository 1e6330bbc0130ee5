"""Takes the pictures of the report that docs/report.md shows: ``python -m docs.pictures [PROJECT]``.

PROJECT: a folder in which `hone tune` has run; this one if left out. Needs Chromium, and the extra `dev`.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser import NAMES, OPTIONS

FOLDER = Path(__file__).parent / "images"
COLOURS = 128
"""Of a picture: flat colours need no more, and the file stays small."""
PICTURES = {
    # name: width, height, scheme, medium, the section at the top (None: the head of the page)
    "report": (1280, 1120, "light", "screen", None),
    "report-dark": (1280, 1120, "dark", "screen", "test"),
    "report-phone": (390, 1120, "light", "screen", None),
    "report-print": (688, 990, "light", "print", None),
}


def take(page: Path) -> None:
    """Write a picture of the report's page for each of `PICTURES`."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise SystemExit(f"no browser: none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OPTIONS])
        for name, (width, height, scheme, medium, section) in PICTURES.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=width < 500
            )
            opened = context.new_page()
            opened.goto(page.as_uri())
            opened.emulate_media(media=medium)
            if section is not None:
                opened.evaluate(f"document.getElementById('{section}').scrollIntoView({{behavior: 'instant'}})")
            picture = Image.open(io.BytesIO(opened.screenshot())).convert("RGB").quantize(COLOURS)
            FOLDER.mkdir(exist_ok=True)
            picture.save(FOLDER / f"{name}.png", optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd()
    take((root / "artifacts" / "report" / "report.html").resolve())
