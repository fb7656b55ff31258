"""Keyboard, screen reader, contrast, targets: the page is for everybody. And it is light."""

from pathlib import Path
from typing import Any, Literal

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat import answered, ask, ask_and_wait, box, clipboard, online, question
from tests.e2e.conftest import NewPage
from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Reasoning, Script, words

AXE = Path(__file__).parents[1] / "support" / "node" / "node_modules" / "axe-core" / "axe.min.js"

# What is transferred before the first message, headers not counted.
WEIGHT = 120_000


def violations(page: Page) -> list[Any]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({rules: {'target-size': {enabled: true}}}).then(({violations}) => violations)")
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(stack: Stack, new_page: NewPage, scheme: Literal["light", "dark"]) -> None:
    text, gate = question("Everything at once"), Gate()
    reply = (
        "# Head\n\ntext `code` [a](https://example.com) $x$\n\n| a |\n|---|\n| 1 |\n\n- [x] t\n\n```py\nx = 1  # y\n```"
    )
    stack.model.answer(text, Script([Reasoning("Hm."), *words(reply)]))
    failing, slow = question("Fails"), question("Slow")
    stack.model.answer(failing, Script.error(401, "no"))
    stack.model.answer(slow, Script([*words("Still "), Hold(gate)]))
    page = new_page(scheme=scheme)
    online(page)
    assert violations(page) == []
    ask_and_wait(page, text)
    expect(page.locator(".katex")).to_be_visible()
    ask_and_wait(page, failing)
    ask(page, slow)
    expect(page.locator(".streaming .prose")).to_contain_text("Still")
    ask(page, question("Queued"))
    expect(page.locator(".stage").last).to_contain_text("In the queue")
    assert violations(page) == []
    page.locator(".row.said").first.hover()
    page.locator(".row.said").first.get_by_role("button", name="Edit and send again").click()
    page.locator("#conversation-menu").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    gate.open()


def test_shortcuts(stack: Stack, new_page: NewPage) -> None:
    text = question("Code")
    stack.model.answer(text, Script(words("Look:\n\n```python\nx = 1\n```\n\nThere.")))
    page = new_page(unhurried=True)
    ask_and_wait(page, text)
    page.locator("#conversation-menu").focus()
    page.keyboard.press("Shift+Escape")
    expect(box(page)).to_be_focused()
    page.keyboard.press("Control+Shift+c")
    expect(page.locator(".row-foot").get_by_role("button", name="Copied")).to_be_visible()
    assert clipboard(page).endswith("There.")
    page.keyboard.press("Control+Shift+;")
    expect(page.locator(".code-block").get_by_role("button", name="Copied")).to_be_visible()
    assert clipboard(page) == "x = 1"
    page.keyboard.press("Control+Shift+s")
    expect(page.locator("#sidebar")).to_be_hidden()
    page.keyboard.press("Control+Shift+s")
    expect(page.locator("#sidebar")).to_be_visible()
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Shift+o")
    expect(page).to_have_url(stack.webs[0].url + "/")
    expect(box(page)).to_be_focused()


def test_the_last_reply_that_is_copied_is_one_that_is_there(stack: Stack, new_page: NewPage) -> None:
    first, second, begun, gone_on = question("First"), question("Second"), Gate(), Gate()
    stack.model.answer(first, Script(words("The first.")))
    stack.model.answer(second, Script([Hold(begun), *words("Half of "), Hold(gone_on), *words("the second.")]))
    page = new_page(unhurried=True)
    ask_and_wait(page, first)
    ask(page, second)
    expect(page.locator(".streaming .stage")).to_contain_text("Waiting for the first word")
    page.keyboard.press("Control+Shift+c")
    expect(page.locator(".row.reply").first.get_by_role("button", name="Copied")).to_be_visible()
    assert clipboard(page) == "The first."
    begun.open()
    expect(page.locator(".streaming .prose")).to_have_text("Half of")
    page.evaluate("navigator.clipboard.writeText('Something else')")
    page.keyboard.press("Control+Shift+c")
    eventually(lambda: clipboard(page) != "Something else", "it is copied")
    assert clipboard(page) == "The first."
    gone_on.open()
    answered(page, 2)
    page.keyboard.press("Control+Shift+c")
    expect(page.locator(".row.reply").last.get_by_role("button", name="Copied")).to_be_visible()
    assert clipboard(page) == "Half of the second."


def test_copying_without_the_browsers_clipboard_leaves_the_focus_where_it_is(stack: Stack, new_page: NewPage) -> None:
    """As on plain HTTP, anywhere but on the machine itself."""
    text = question("Plain")
    stack.model.answer(text, Script(words("Over plain HTTP.")))
    page = new_page(unhurried=True)
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.reload()
    reply = ask_and_wait(page, text)
    box(page).fill("I quote: ")
    page.keyboard.press("Control+Shift+c")
    expect(reply.get_by_role("button", name="Copied")).to_be_visible()
    expect(box(page)).to_be_focused()
    page.keyboard.press("Control+v")
    expect(box(page)).to_have_value("I quote: Over plain HTTP.")


def test_a_screen_reader_is_told_once_and_focus_stays(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Read to me"), Gate()
    stack.model.answer(text, Script([*words("One two "), Hold(gate), *words("three.")]))
    page = new_page()
    ask(page, text)
    article = page.locator(".reply article")
    expect(article).to_have_attribute("aria-busy", "true")
    expect(page.locator("#announcer")).to_be_empty()
    expect(box(page)).to_be_focused()
    gate.open()
    expect(article).to_have_attribute("aria-busy", "false")
    expect(page.locator("#announcer")).to_have_text("Reply finished.")
    expect(box(page)).to_be_focused()
    assert page.locator("[aria-live] .prose, .prose[aria-live]").count() == 0


def test_what_takes_a_button_away_leaves_the_focus_near_it(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Once more"), Gate()
    stack.model.answer(text, Script(words("The first.")), Script([*words("The second"), Hold(gate)]))
    page = new_page()
    ask_and_wait(page, text)
    page.get_by_role("button", name="Answer again").focus()
    page.keyboard.press("Enter")
    row = page.locator(".row.reply").first
    expect(row.locator(".prose")).to_have_text("The second")
    expect(row).to_be_focused()
    ask(page, question("Queued"))
    page.get_by_role("button", name="Remove").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".row.reply").last.locator(".facts")).to_contain_text("Stopped")
    expect(page.locator(".row.reply").last).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Answer again")).to_be_focused()
    item = page.locator("#conversations .item")
    item.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("Another name")
    page.keyboard.press("Enter")
    expect(item.get_by_role("link")).to_have_text("Another name")
    expect(item.get_by_role("button")).to_be_focused()
    gate.open()


def test_a_phone_shows_all_of_it(stack: Stack, new_page: NewPage) -> None:
    text = question("Wide")
    stack.model.answer(
        text,
        Script(["| a | b |\n|---|---|\n| " + "long" * 60 + " | c |\n\n$$" + "x+" * 90 + "x$$\n\n```\n" + "x" * 400]),
    )
    page = new_page(width=360, height=740, phone=True)
    ask_and_wait(page, text)
    expect(page.locator(".katex")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = (
        "nodes => nodes.map(node => [node.outerHTML.slice(0, 90), node.getBoundingClientRect()])"
        ".filter(([, {width, height}]) => width && (width < 44 || height < 44)).map(([html]) => html)"
    )
    targets = "button, select, input:not([type=radio]), textarea, summary, .theme label, #conversations a, .new-chat"
    assert page.locator(targets).evaluate_all(small) == []
    page.get_by_role("button", name="Conversations").tap()
    drawer = page.get_by_role("navigation", name="Conversations")
    expect(drawer).to_contain_text("Wide")
    # It slides in.
    eventually(lambda: page.locator(targets).evaluate_all(small) == [], "all targets are large enough")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.get_by_role("button", name="Conversations")).to_be_focused()


def test_there_is_room_to_write_above_a_phones_keyboard(stack: Stack, new_page: NewPage) -> None:
    text = question("Wide " + "and long" * 60)
    page = new_page(width=320, height=568, phone=True)
    ask_and_wait(page, text)
    for width, height in ((320, 300), (740, 150)):
        page.set_viewport_size({"width": width, "height": height})
        for part in (box(page), page.get_by_role("button", name="Send", exact=True)):
            expect(part).to_be_in_viewport(ratio=1)
        whole = page.evaluate(
            "(({scrollWidth, scrollHeight}) => [scrollWidth, scrollHeight])(document.documentElement)"
        )
        assert whole == [width, height]


def test_on_paper_stands_what_was_said_and_nothing_else(stack: Stack, new_page: NewPage) -> None:
    text = question("Print")
    stack.model.answer(text, Script(words("line\n\n" * 60 + "```python\nx = '" + "y" * 400 + "'\n```")))
    page = new_page(scheme="dark")
    reply = ask_and_wait(page, text)
    page.emulate_media(media="print")
    for part in ("#sidebar", "#composer", "#status", ".copy"):
        expect(page.locator(part).first).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".bubble")).to_be_visible()
    ink, paper = reply.evaluate(
        "row => [getComputedStyle(row).color, getComputedStyle(document.documentElement).backgroundColor]"
        ".map(colour => Number(/oklch[(]([0-9.]+)/.exec(colour)[1]))"
    )
    assert ink < 0.5 < paper
    # Nothing is cut off: neither below the screen nor beside it.
    parts = page.locator("#scroller, .code-block pre")
    is_cut = "one => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1"
    assert parts.evaluate_all(f"all => all.filter({is_cut}).map(one => one.outerHTML.slice(0, 90))") == []


def test_without_scripts_the_page_says_so(stack: Stack, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=stack.webs[0].url)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("#shell")).to_be_hidden()
    context.close()


def test_the_page_is_light_kept_by_browsers_and_seen_at_once(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    page.wait_for_load_state("networkidle")
    loaded = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map(({name, encodedBodySize}) => [name, encodedBodySize])"
    )
    sizes: dict[str, int] = dict(loaded)
    assert 5 < len(sizes) < 25, list(sizes)
    assert sum(sizes.values()) <= WEIGHT, sorted(loaded, key=lambda one: -one[1])[:10]
    assert not any("highlight" in url or "katex" in url for url in sizes)
    for url in [url for url in sizes if "/static/" in url]:
        headers = {"Accept-Encoding": "gzip"}
        answer = requests.get(url, headers=headers, timeout=10)
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        same = requests.get(url, headers={**headers, "If-None-Match": answer.headers["ETag"]}, timeout=10)
        assert (same.status_code, same.content) == (304, b"")
    plain = requests.get(stack.webs[0].url, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Cache-Control"] == "no-cache"
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint').length") == 1


# What juts out of the page, of the drawer or of a question, and cannot be scrolled to.
_JUTTING = """() => [...document.querySelectorAll('body *')].filter((one) => {
  const isHidden = one.closest('[inert], .visually-hidden, .symbols') || !one.checkVisibility();
  if (isHidden || one.closest('.table-scroll, pre, .math')) return false;
  const { left, right, width } = one.getBoundingClientRect();
  const frame = (one.closest('dialog, .sidebar, .composer, .strip') ?? document.body).getBoundingClientRect();
  return getComputedStyle(one).clipPath === 'none' && width && (left < frame.left - 1 || right > frame.right + 1);
}).map((one) => `${one.tagName}.${one.className}: ${one.textContent}`)"""


def test_in_letters_of_twice_the_size_a_phone_shows_all_of_it(stack: Stack, new_page: NewPage) -> None:
    """A page that is enlarged is a page that is narrower."""
    page = new_page(width=206, height=458, phone=True)
    ask_and_wait(page, question("Large print"))
    assert page.evaluate(_JUTTING) == []
    for name in ("Instructions", "Usage", "Keyboard shortcuts"):
        if name == "Instructions":
            page.get_by_role("button", name=name).click()
        else:
            page.get_by_role("button", name="Conversations").click()
            assert page.evaluate(_JUTTING) == []
            page.get_by_role("button", name="More").click()
            page.get_by_role("menuitem", name=name).click()
        expect(page.get_by_role("dialog", name=name)).to_be_visible()
        assert page.evaluate(_JUTTING) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        if name != "Instructions":
            page.keyboard.press("Escape")
    page.context.clear_cookies()
    page.reload()
    expect(page.locator("#trouble")).to_contain_text("Your session has ended")
    assert page.evaluate(_JUTTING) == []


def test_colours_are_right_before_the_first_paint(stack: Stack, new_page: NewPage) -> None:
    page = new_page(scheme="light")
    page.locator("#theme").get_by_title("Dark").click()
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.add_init_script(
        "new MutationObserver((_, watch) => { if (!document.body) return; watch.disconnect();"
        " window.first = getComputedStyle(document.documentElement).backgroundColor; })"
        ".observe(document, {childList: true, subtree: true})"
    )
    page.reload()
    online(page)
    assert page.evaluate("window.first") == paper
