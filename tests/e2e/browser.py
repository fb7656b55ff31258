"""The browser of the tests, of the screenshots and of the benchmark."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, expect, sync_playwright

# Chromium would look its maker's servers up at every start.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless. What is expected has 40 s to come: a busy machine is slow, and waiting costs only those who fail."""
    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    assert path, "the browser tests need chromium (Debian: apt install chromium)"
    expect.set_options(timeout=40_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()
