"""Writing, sending and reading on: nothing typed is lost, and the page does not move under the reader."""

import re
import time

from playwright.sync_api import Locator, Page, expect

from app.ledger.keys import counts_key
from tests.e2e.chat import answered, ask, ask_and_wait, box, new_chat, online, question
from tests.e2e.conftest import NewPage
from tests.support.processes import eventually
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words


def test_enter_sends_shift_enter_breaks_and_an_input_method_keeps_its_keys(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    low = box(page).evaluate("box => box.clientHeight")
    box(page).press_sequentially("one")
    box(page).press("Shift+Enter")
    box(page).press_sequentially("two")
    expect(box(page)).to_have_value("one\ntwo")
    eventually(lambda: box(page).evaluate("box => box.clientHeight") > low, "it grows")
    for more in ({"isComposing": True}, {"keyCode": 229}):
        box(page).dispatch_event("keydown", {"key": "Enter", "bubbles": True, "cancelable": True, **more})
    expect(box(page)).to_have_value("one\ntwo")
    box(page).press("Enter")
    expect(box(page)).to_have_value("")
    expect(page.locator(".bubble")).to_have_text("one\ntwo")
    assert box(page).evaluate("box => box.clientHeight") == low


def test_what_is_typed_and_sent_between_two_drawings_is_sent_once(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    box(page).evaluate(
        """box => {
            box.value = 'quick';
            box.dispatchEvent(new Event('input', {bubbles: true}));
            box.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true}));
            box.dispatchEvent(new KeyboardEvent('keydown', {key: 'n', bubbles: true, cancelable: true}));
            box.value += 'next';
            box.dispatchEvent(new Event('input', {bubbles: true}));
        }"""
    )
    answered(page, 1)
    expect(page.locator(".bubble")).to_have_text("quick")
    expect(box(page)).to_have_value("next")


def test_an_input_method_composes_undisturbed(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    box(page).focus()
    keyboard = page.context.new_cdp_session(page)
    keyboard.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    enter = {"type": "rawKeyDown", "key": "Process", "code": "Enter", "windowsVirtualKeyCode": 229}
    keyboard.send("Input.dispatchKeyEvent", enter)
    device = new_page("/healthz")
    device.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    device.goto("/")
    ask_and_wait(device, question("Elsewhere"))
    expect(page.locator("#conversations .item")).to_have_count(1)
    expect(box(page)).to_have_value("にほん")
    keyboard.send("Input.insertText", {"text": "日本"})
    expect(box(page)).to_have_value("日本")
    expect(page.locator(".bubble")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator(".bubble")).to_have_text("日本")


def test_a_message_that_is_too_long_is_told_before_it_is_sent_and_kept(stack: Stack, new_page: NewPage) -> None:
    """Counted as the server counts: a sign of two units is one."""
    page = new_page()
    online(page)
    box(page).fill("as many as are taken \U0001f600" + "." * (32_000 - 22))
    expect(page.locator("#too-long")).to_be_empty()
    expect(page.locator("#send")).to_be_enabled()
    # Not of many lines: Chromium takes a minute to put those into any text area, as if they were typed.
    box(page).fill("words that are pasted, \U0001f600 " * 4_000)
    told = "Too long to be sent: 99,999 characters, at most 32,000 are taken."
    expect(page.locator("#too-long")).to_have_text(told)
    expect(page.locator("#send")).to_be_disabled()
    box(page).press("Enter")
    expect(page.locator(".row")).to_have_count(0)
    page.reload()
    expect(page.locator("#too-long")).to_have_text(told)
    box(page).fill("short")
    expect(page.locator("#too-long")).to_be_empty()
    box(page).press("Enter")
    answered(page, 1)


def test_two_tabs_have_their_own_words(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    box(page).fill("first thought")
    other = new_page(like=page)
    expect(box(other)).to_have_value("first thought")
    second = question("Second")
    ask_and_wait(other, second)
    expect(entry_of(page)).to_have_count(1)
    expect(box(page)).to_have_value("first thought")
    page.reload()
    expect(box(page)).to_have_value("first thought")
    # In one conversation, what is written anew in one tab is not in the other.
    page.goto(other.url)
    answered(page, 1)
    box(other).press("ArrowUp")
    expect(box(other)).to_have_value(second)
    box(other).fill("written anew")
    ask_and_wait(page, question("Third"))
    expect(page.locator("#edit-strip")).to_be_hidden()
    expect(box(page)).to_have_value("")
    answered(other, 2)
    other.reload()
    expect(box(other)).to_have_value("written anew")
    expect(other.locator("#edit-strip")).to_be_visible()


def entry_of(page: Page) -> Locator:
    return page.locator("#conversations .item")


def test_a_draft_belongs_to_its_conversation_and_survives_a_reload(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("First"))
    box(page).fill("half a thought")
    new_chat(page)
    expect(box(page)).to_have_value("")
    box(page).fill("another")
    page.go_back()
    expect(box(page)).to_have_value("half a thought")
    page.reload()
    expect(box(page)).to_have_value("half a thought")
    new_chat(page)
    expect(box(page)).to_have_value("another")


def cut_off(stack: Stack, *pages: Page) -> None:
    for page in pages:
        online(page)
    stack.webs[0].kill()
    for page in pages:
        expect(page.locator("#status")).to_have_attribute("data-status", "offline")


def test_what_is_written_while_a_chat_begins_stays_in_the_box(stack: Stack, new_page: NewPage) -> None:
    page, other = new_page(), new_page()
    cut_off(stack, page, other)
    search = other.get_by_role("searchbox", name="Search conversations")
    for one in (page, other):
        ask(one, question("First"))
        expect(one.locator(".row-note")).to_contain_text("Sent when there is a connection")
        box(one).press_sequentially("and then")
    search.press_sequentially("alba")
    stack.repair()
    for one in (page, other):
        answered(one, 1)
        expect(one).to_have_url(re.compile("/c/"))
        expect(box(one)).to_have_value("and then")
    expect(box(page)).to_be_focused()
    expect(search).to_be_focused()
    expect(search).to_have_value("alba")
    new_chat(page)
    expect(box(page)).to_have_value("")


def test_a_new_chats_message_that_waits_is_found_again(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("Before"))
    address = page.url
    new_chat(page)
    cut_off(stack, page)
    text = question("Waiting")
    ask(page, text)
    expect(page.locator(".bubble")).to_have_text(text)
    # It becomes a conversation by itself; it must not become another one by its instructions.
    expect(page.get_by_role("button", name="Instructions")).to_be_disabled()
    new_chat(page)
    expect(page.get_by_role("button", name="Instructions")).to_be_enabled()
    for come_back in (page.get_by_role("link", name="New chat").click, page.go_forward):
        page.go_back()
        expect(page).to_have_url(address)
        expect(page.locator(".row")).to_have_count(0)
        come_back()
        expect(page.locator(".bubble")).to_have_text(text)
    stack.repair()
    answered(page, 1)
    expect(page.locator(".bubble")).to_have_text(text)
    assert len(stack.model.requests(text)) == 1


def test_to_skip_to_the_box_leaves_the_conversation_as_it_is(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("Stay"))
    row = page.locator(".row").first.element_handle()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#input$"))
    expect(box(page)).to_be_focused()
    page.go_back()
    expect(page).to_have_url(re.compile("/c/[^#]+$"))
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert row.evaluate("one => one.isConnected")


def test_queued_messages_show_their_place_and_can_be_removed(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Slow"), Gate()
    stack.model.answer(text, Script([*words("Well, "), Hold(gate), *words("that is it.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose").first).to_contain_text("Well,")
    removed, kept = question("Removed"), question("Kept")
    ask(page, removed)
    expect(page.locator(".stage").last).to_contain_text("one reply before it")
    ask(page, kept)
    expect(page.locator(".stage").last).to_contain_text("2 replies before it")
    page.locator(".reply").nth(1).get_by_role("button", name="Remove").click()
    expect(page.locator(".stage").last).to_contain_text("one reply before it")
    gate.open()
    answered(page, 3)
    assert stack.model.requests(removed) == []
    assert len(stack.model.requests(kept)) == 1


def test_who_waits_is_told_how_long_that_is_likely_to_be(stack: Stack, new_page: NewPage) -> None:
    """As if turns had taken a minute each."""
    measured = {"service:ms": 60_000 * 10**6, "service:turns": 10**6, "service:at": time.time() * 1000}
    for name, value in measured.items():
        stack.redis.client.hset(counts_key("00"), name, value)
    try:
        text, gate = question("Slow"), Gate()
        stack.model.answer(text, Script([*words("Well, "), Hold(gate), *words("that is it.")]))
        page = new_page()
        ask(page, text)
        expect(page.locator(".reply .prose").first).to_contain_text("Well,")
        ask(page, question("Next"))
        expect(page.locator(".stage").last).to_have_text(re.compile(r"one reply before it, about [56]\d s"))
        gate.open()
        answered(page, 2)
    finally:
        stack.redis.client.hdel(counts_key("00"), *measured)


def test_esc_stops_a_reply(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Endless"), Gate()
    stack.model.answer(text, Script([*words("On and "), Hold(gate)]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose")).to_contain_text("On and")
    page.keyboard.press("Escape")
    expect(page.locator(".facts")).to_contain_text("Stopped")
    gate.open()


def at_the_end(page: Page) -> bool:
    distance = page.locator("#scroller").evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight")
    return bool(distance < 5)


def test_the_page_follows_only_a_reader_who_is_at_the_end(stack: Stack, new_page: NewPage) -> None:
    text, first, second = question("Long"), Gate(), Gate()
    stack.model.answer(text, Script(["line\n\n" * 60, Hold(first), "more\n\n" * 60, Hold(second), "the end"]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose p")).to_have_count(60)
    assert at_the_end(page)
    jump = page.locator("#jump")
    expect(jump).to_be_hidden()
    page.locator("#scroller").hover()
    page.mouse.wheel(0, -20)
    expect(jump).to_be_visible()
    expect(jump).not_to_have_class("jump unread")
    before = page.locator("#scroller").evaluate("box => box.scrollTop")
    first.open()
    expect(page.locator(".reply .prose p")).to_have_count(120)
    expect(jump).to_have_class("jump unread")
    assert page.locator("#scroller").evaluate("box => box.scrollTop") == before
    jump.click()
    assert at_the_end(page)
    second.open()
    answered(page, 1)
    expect(jump).to_be_hidden()
    assert at_the_end(page)


def test_a_long_chat_opens_at_its_end_and_loads_what_is_older(stack: Stack, new_page: NewPage) -> None:
    client = stack.client()
    conversation_id = client.send("message 0")["conversation_id"]
    for number in range(1, 60):
        client.wait_finished(client.send(f"message {number}", conversation_id=conversation_id)["turn_id"])
    page = new_page("/healthz")
    page.context.add_cookies([{"name": "parley_session", "value": client.session.token, "url": stack.webs[0].url}])
    page.goto(f"/c/{conversation_id}")
    expect(page.locator(".bubble").last).to_have_text("message 59")
    assert at_the_end(page)
    expect(page.locator(".bubble")).to_have_count(25)
    assert at_the_end(page)
    for first, count in ((35, 50), (10, 60)):
        reading = page.get_by_text(f"message {first}", exact=True)
        page.locator("#scroller").evaluate("box => { box.scrollTop = 0 }")
        expect(page.locator(".bubble")).to_have_count(count)
        expect(reading).to_be_in_viewport()
    expect(page.locator("#older")).to_be_hidden()
    expect(page.locator(".bubble").first).to_have_text("message 0")


def test_rows_far_from_the_screen_keep_their_height(stack: Stack, new_page: NewPage) -> None:
    session, at = stack.session(), "2026-01-01T00:00:00Z"
    messages = [
        {
            "id": f"m{number}",
            "parent_id": f"m{number - 1}" if number else None,
            "role": "assistant" if number % 2 else "user",
            "text": f"message {number}\n\n" + "and more words of it " * 20 * (number % 7),
            "created_at": at,
        }
        for number in range(120)
    ]
    body = {"format": "parley.conversation", "version": 1, "conversation": {"title": "Long", "created_at": at}}
    answer = stack.api(session)(
        "POST", "/api/conversations/import", json={**body, "messages": messages, "head": "m119"}
    )
    page = new_page("/healthz")
    page.context.add_cookies([{"name": "parley_session", "value": session.token, "url": stack.webs[0].url}])
    page.goto(f"/c/{answer.json()['id']}")
    scroller, rows = page.locator("#scroller"), page.locator(".row")
    for count in (50, 100, 120):
        expect(rows).to_have_count(count)
        scroller.evaluate("box => { box.scrollTop = 0 }")
    for width in (1200, 600):
        page.set_viewport_size({"width": width, "height": 800})
        # The page hears of its width with the next frame.
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(page.locator(".row-group:not(.far)")).to_have_count(1)
        height = scroller.evaluate("box => box.scrollHeight")
        for number in (60, 0, 118):
            rows.nth(number).scroll_into_view_if_needed()
            expect(rows.nth(number)).to_be_in_viewport()
            assert scroller.evaluate("box => box.scrollHeight") == height
