"""Fixtures for tests that open pages in a headless Chromium, as people do. Without one, they are skipped."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # tests ask no network
)
WAIT = 60_000
"""Milliseconds that a page may take to show something, on a busy machine."""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium. Playwright's event loop runs until the module ends: asyncio.run fails in its tests."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: install the extra dev")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=[*OPTIONS])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """A function that opens an address, or the URI of a file, in a window of a size in pixels, and returns the page.

    options: further ones of playwright's `new_context`, for example `color_scheme="dark"` or `is_mobile=True`.
    """
    with ExitStack() as stack:

        def opened(url: str, width: int = 1280, height: int = 800, **options: Any) -> "Page":
            context = browser.new_context(viewport={"width": width, "height": height}, **options)
            stack.callback(context.close)
            context.set_default_timeout(WAIT)
            page = context.new_page()
            page.goto(url)
            return page

        yield opened
