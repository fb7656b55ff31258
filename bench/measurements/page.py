"""The page in Chromium: how soon it is there, and whether it keeps up with a long reply in a long conversation."""

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from bench.report import Figure
from tests.e2e.browser import chromium
from tests.e2e.chat import ask, online
from tests.support.http_client import Session
from tests.support.stack import Stack
from tests.support.upstream import Script

TITLE = "The page"
LENGTH = 200_000
PIECE = 40
RATE = 500  # pieces a second: 20 KB
LOADS = 5

_WORDS = "Some **bold** words about `things`, [a link](https://example.com/x) and then more of them. "
_CODE = "def function(value, other=None):  # a number\n    return value + len(str(other))\n\n"
# What replies are made of: before it, again and again, after it.
REPLIES = {
    "paragraphs": ("", f"{_WORDS * 4}\n\n", ""),
    "mixed with code": ("", f"## A part\n\n{_WORDS * 2}\n\n- one\n- two\n\n```python\n{_CODE * 12}```\n\n", ""),
    "one block of code": ("```python\n", _CODE, "```\n"),
    "one list": ("", f"- {_WORDS}\n", ""),
    "one table": ("| a | b | c |\n|---|---|--:|\n", "| some words | **bold** and `code` | 1 |\n", ""),
    "one paragraph": ("", _WORDS, ""),
    "formulas": ("", f"Where $x_1^2$ and $y$ hold, {_WORDS * 6}\n\n$$\\sum_{{i=1}}^n \\frac{{a_i}}{{b^2}}$$\n\n", ""),
}

_WATCH = """() => {
  window.frames_ = [];
  let last = performance.now();
  requestAnimationFrame(function next(now) {
    frames_.push(now - last);
    last = now;
    requestAnimationFrame(next);
  });
}"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# Playwright's `expect` is not for here: each time that it finds something else, it describes the whole page to itself,
# which takes seconds of a long one's main thread.
_BEGUN = "count => document.querySelectorAll('.row.reply .prose:not([hidden])').length > count"
_FINISHED = "() => !document.querySelector('.row.reply.streaming')"
# When the last message is on the screen.
_OPENED = """new MutationObserver((_, watch) => {
  if (!document.querySelector('.row.reply .prose')) return;
  watch.disconnect();
  requestAnimationFrame(() => setTimeout(() => { document.documentElement.dataset.opened = performance.now(); }));
}).observe(document, {childList: true, subtree: true})"""
_WEIGHT = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, {encodedBodySize}) => sum + encodedBodySize, 0)"""


@dataclass(frozen=True)
class Frames:
    """`slow`: ms that the slowest of a hundred frames takes; `busy`: the main thread's share of the time, in percent;
    `growth`: how busy it is in the last fifth of the reply, compared with the first."""

    slow: float
    busy: float
    growth: float


def measure(folder: Path) -> Iterator[Figure]:
    with Stack(folder) as stack, chromium() as browser:
        yield from _loading(stack, browser)
        for kind, (before, again, after) in REPLIES.items():
            text = before + again * (LENGTH // len(again)) + after
            with _page(stack, browser) as page:
                frames = _watched(stack, page, text, kind)
            yield Figure(f"{kind}, 200 KB: 99 of 100 frames within", frames.slow, "ms", limit=34)
            yield Figure(f"{kind}, 200 KB: main thread busy", frames.busy, "%")
            yield Figure(f"{kind}, 200 KB: work at its end / beginning", frames.growth, "", limit=2)
        yield from _long_chats(stack, browser)


@contextmanager
def _page(stack: Stack, browser: Browser, token: str | None = None) -> Iterator[Page]:
    """In a profile of its own: nothing is kept from before."""
    size = ViewportSize(width=1200, height=800)
    context = browser.new_context(viewport=size, base_url=stack.webs[0].url)
    if token:
        context.add_cookies([{"name": "parley_session", "value": token, "url": stack.webs[0].url}])
    page = context.new_page()
    page.set_default_timeout(120_000)
    if not token:
        page.goto("/")
        online(page)
    yield page
    context.close()


def _loading(stack: Stack, browser: Browser) -> Iterator[Figure]:
    paints = []
    for _ in range(LOADS):
        with _page(stack, browser) as page:
            page.wait_for_load_state("networkidle")
            paints.append(page.evaluate(_PAINT))
            weight = page.evaluate(_WEIGHT) / 1000
    yield Figure("first contentful paint, nothing cached, median", statistics.median(paints), "ms", limit=1000)
    yield Figure("transferred before the first message", weight, "KB", limit=120)


def _watched(stack: Stack, page: Page, text: str, name: str) -> Frames:
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    question = f"Tell me: {name}"
    stack.model.answer(question, Script(pieces, rate=RATE))
    replies = page.locator(".row.reply").count()
    page.evaluate(_WATCH)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    ask(page, question)
    page.wait_for_function(_BEGUN, arg=replies)
    page.evaluate("frames_.length = 0")
    busy, began = [_busy(devtools.send("Performance.getMetrics"))], time.monotonic()
    for _ in range(5):
        page.wait_for_timeout(1000 * len(pieces) / RATE / 5.2)
        busy.append(_busy(devtools.send("Performance.getMetrics")))
    share = 100 * (busy[-1] - busy[0]) / (time.monotonic() - began)
    page.wait_for_function(_FINISHED, polling=250)
    # What follows its end is part of it: colours, the list, what is announced.
    page.wait_for_timeout(500)
    fifths = [later - earlier for earlier, later in itertools.pairwise(busy)]
    frames: list[float] = sorted(page.evaluate("frames_"))
    return Frames(frames[int(len(frames) * 0.99)], share, fifths[-1] / fifths[0])


def _busy(answer: dict[str, list[dict[str, float]]]) -> float:
    """Seconds of the page's main thread so far."""
    return next(metric["value"] for metric in answer["metrics"] if str(metric["name"]) == "TaskDuration")


def _long_chats(stack: Stack, browser: Browser) -> Iterator[Figure]:
    for count in (1_000, 10_000):
        session = stack.session()
        address = _imported(stack, session, count)
        opened = [_opening(stack, browser, session, address) for _ in range(LOADS)]
        name = f"a chat of {count} messages is open, nothing cached, median"
        yield Figure(name, statistics.median(opened), "ms", limit=1000)
        if count > 1_000:
            continue
        with _page(stack, browser, session.token) as page:
            page.goto(address)
            _load_all(page, count)
            frames = _watched(stack, page, (_WORDS * 4 + "\n\n") * 200, f"{count} messages")
        yield Figure(
            f"a reply below {count} messages, all loaded: 99 of 100 frames within", frames.slow, "ms", limit=34
        )
        yield Figure(f"a reply below {count} messages, all loaded: main thread busy", frames.busy, "%")


def _imported(stack: Stack, session: Session, count: int) -> str:
    """Where the conversation is then."""
    messages, at = [], "2026-01-01T00:00:00Z"
    for number in range(count):
        role = "assistant" if number % 2 else "user"
        text = f"{_WORDS}\n\n```python\n{_CODE}```\n" if number % 2 else f"Question {number}"
        parent = f"m{number - 1}" if number else None
        messages.append({"id": f"m{number}", "parent_id": parent, "role": role, "text": text, "created_at": at})
    body = {
        "format": "parley.conversation",
        "version": 1,
        "conversation": {"title": "Long", "created_at": at},
        "messages": messages,
        "head": f"m{count - 1}",
    }
    answer = stack.api(session)("POST", "/api/conversations/import", json=body)
    assert answer.status_code == 201, answer.text
    return f"/c/{answer.json()['id']}"


def _opening(stack: Stack, browser: Browser, session: Session, address: str) -> float:
    with _page(stack, browser, session.token) as page:
        page.add_init_script(_OPENED)
        page.goto(address)
        page.wait_for_function("() => document.documentElement.dataset.opened")
        return float(page.evaluate("document.documentElement.dataset.opened"))


def _load_all(page: Page, count: int) -> None:
    """By scrolling up, again and again."""
    shown = 0
    while shown < count:
        page.wait_for_function("before => document.querySelectorAll('.row').length > before", arg=shown)
        shown = page.locator(".row").count()
        page.evaluate("document.getElementById('scroller').scrollTop = 0")
    page.evaluate("document.getElementById('scroller').scrollTop = 1e9")
