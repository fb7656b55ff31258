"""A browser in front of real processes."""

import re
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize

from tests.e2e.browser import chromium
from tests.support.stack import Stack

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    prices = '{"small": {"input": 1000, "output": 2000}}'
    environ = {"LEASE_SECONDS": "5", "SWEEP_SECONDS": "0.5", "PRICES": prices}
    with Stack(tmp_path_factory.mktemp("e2e"), environ=environ) as stack:
        yield stack


@pytest.fixture
def stack(started: Stack) -> Stack:
    """All of it running, whatever the test before has killed."""
    started.repair()
    return started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def _unhurried(route: Route) -> None:
    """What the page shows for a moment only, it shows for half a minute: a busy machine looks late."""
    answer = route.fetch()
    script = answer.text()
    for moment in ("UNDO = 8_000;", "SHOWN = 1600;"):
        assert script.count(moment) == 1
        script = script.replace(moment, moment.split()[0] + " = 30_000;")
    route.fulfill(response=answer, body=script)


@pytest.fixture
def new_page(stack: Stack, browser: Browser) -> Iterator[NewPage]:
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
        unhurried: bool = False,
    ) -> Page:
        if like is None:
            context = browser.new_context(
                viewport=ViewportSize(width=width, height=height),
                base_url=stack.webs[0].url,
                color_scheme=scheme,
                has_touch=phone,
                is_mobile=phone,
                permissions=["clipboard-read", "clipboard-write"],
            )
            contexts.append(context)
            if unhurried:
                context.route(re.compile(r"/js/main\.js$"), _unhurried)
        else:
            context = like.context
        page = context.new_page()
        page.set_default_timeout(40_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(path)
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []
