"""A browser in front of real processes."""

import shutil
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.support.stack import Stack

# Chromium would look its maker's servers up at every start.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    prices = '{"small": {"input": 1000, "output": 2000}}'
    environ = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5", "PRICES": prices}
    with Stack(tmp_path_factory.mktemp("e2e"), environ=environ) as stack:
        yield stack


@pytest.fixture
def stack(started: Stack) -> Stack:
    """All of it running, whatever the test before has killed."""
    started.repair()
    return started


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    assert path, "the browser tests need chromium (Debian: apt install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def new_page(stack: Stack, chromium: Browser) -> Iterator[NewPage]:
    """Pages, each in a profile of its own unless it is given that of another. A script or CSP error fails the test."""
    problems: list[str] = []
    contexts = []

    def make(
        path: str = "/",
        *,
        like: Page | None = None,
        width: int = 1200,
        height: int = 800,
        scheme: Literal["light", "dark"] = "light",
        phone: bool = False,
    ) -> Page:
        if like is None:
            context = chromium.new_context(
                viewport=ViewportSize(width=width, height=height),
                base_url=stack.webs[0].url,
                color_scheme=scheme,
                has_touch=phone,
                is_mobile=phone,
                permissions=["clipboard-read", "clipboard-write"],
            )
            contexts.append(context)
        else:
            context = like.context
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []
