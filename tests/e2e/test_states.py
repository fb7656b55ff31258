"""What the page says is going on is what is going on."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.chat import answered, ask, ask_and_wait, box, new_chat, online, question
from tests.e2e.conftest import NewPage
from tests.support.processes import eventually
from tests.support.stack import Stack, Web
from tests.support.upstream import Gate, Hold, Script, words

Act = Callable[[Stack], None]


def test_offline_says_when_it_tries_again_and_reconnected_says_so(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Outlive"), Gate()
    stack.model.answer(text, Script([*words("Still "), Hold(gate), *words("here.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".row.reply .prose")).to_contain_text("Still")
    # It says so for four seconds only.
    page.evaluate("""() => {
        window.said = [];
        const label = document.getElementById('status-label');
        new MutationObserver(() => said.push(label.textContent)).observe(label, {childList: true});
    }""")
    stack.webs[0].kill()
    expect(page.locator("#status")).to_have_text("Offline")
    expect(page.locator("#trouble-reason")).to_have_text(
        re.compile(r"No connection to the server; trying again (in \d+ s|now)\.")
    )
    gate.open()
    stack.repair()
    expect(page.locator("#trouble")).to_be_hidden()
    expect(page.locator(".row.reply .prose")).to_have_text("Still here.")
    expect(page.locator("#status")).to_have_text("Online")
    assert page.evaluate("said") == ["Offline", "Reconnected", "Online"]


def test_an_answer_that_breaks_off_harms_nothing(stack: Stack, new_page: NewPage) -> None:
    """As when a web process is killed in the middle of it."""
    page = new_page("about:blank")
    page.route("**/api/models", lambda route: route.fulfill(content_type="application/json", body='{"providers": ['))
    page.goto(stack.webs[0].url)
    online(page)
    ask_and_wait(page, question("Without a list of models"))


def test_a_screen_reader_is_not_told_of_every_second(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    stack.webs[0].kill()
    expect(page.locator("#trouble-reason")).to_contain_text("No connection to the server; trying again")
    page.evaluate("""() => {
        window.seen = new Set();
        window.told = [];
        const trouble = document.getElementById('trouble');
        new MutationObserver((changes) => {
            seen.add(trouble.textContent);
            for (const {target} of changes) {
                const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
                if (!element.closest('[aria-hidden=true]')) told.push(trouble.textContent);
            }
        }).observe(trouble, {subtree: true, childList: true, characterData: true});
    }""")
    page.wait_for_function("() => seen.size > 2")
    assert page.evaluate("told") == []
    stack.repair()
    online(page)


def test_a_taken_over_reply_says_so_and_is_whole(stack: Stack, new_page: NewPage) -> None:
    text, gate, second = question("Survive"), Gate(), Gate()
    stack.model.answer(
        text, Script([*words("Half of "), Hold(gate)]), Script([*words("All "), Hold(second), *words("of it.")])
    )
    page = new_page()
    ask(page, text)
    expect(page.locator(".row.reply .prose")).to_contain_text("Half of")
    stack.workers[0].kill()
    stack.repair()
    expect(page.locator(".stage")).to_contain_text("Taken over by another worker")
    second.open()
    expect(answered(page, 1).locator(".prose")).to_have_text("All of it.")
    expect(page.locator(".row.reply")).to_have_count(1)
    gate.open()


def test_waiting_for_the_first_word_and_retrying_are_told_apart(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Shaky"), Gate()
    stack.model.answer(text, Script.error(503, "overloaded"), Script([Hold(gate), *words("At last.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".stage")).to_contain_text("trying again")
    gate.wait_reached()
    expect(page.locator(".stage")).to_contain_text("trying again")
    gate.open()
    expect(answered(page, 1).locator(".prose")).to_have_text("At last.")


def test_with_no_worker_the_page_says_so(stack: Stack, new_page: NewPage) -> None:
    worker = stack.workers[0]
    worker.kill()
    page = new_page()
    ask(page, question("Anybody"))
    # Presence is forgotten after fifteen seconds.
    expect(page.locator("#trouble-reason")).to_contain_text("no worker is running")
    expect(page.locator(".stage")).to_contain_text("Waiting")
    stack.repair()
    answered(page, 1)
    expect(page.locator("#trouble")).to_be_hidden(timeout=20_000)


def test_a_reply_whose_worker_died_and_left_nobody_says_so(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Alone"), Gate()
    stack.model.answer(text, Script([*words("Half of "), Hold(gate)]), Script(words("All of it.")))
    page = new_page()
    ask(page, text)
    expect(page.locator(".row.reply .prose")).to_contain_text("Half of")
    stack.workers[0].kill()
    expect(page.locator("#trouble-reason")).to_contain_text("no worker is running")
    stack.repair()
    expect(answered(page, 1).locator(".prose")).to_have_text("All of it.")
    expect(page.locator("#trouble")).to_be_hidden(timeout=20_000)
    gate.open()


def kill_redis(stack: Stack) -> None:
    stack.redis.kill()


def fill_redis(stack: Stack) -> None:
    stack.redis.client.config_set("maxmemory", 1)


def empty_redis(stack: Stack) -> None:
    stack.redis.client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("harm", "mend", "said"),
    [(kill_redis, Stack.repair, "cannot reach its database"), (fill_redis, empty_redis, "takes nothing new")],
    ids=["away", "full"],
)
def test_a_reply_that_stands_still_because_of_redis_says_so(
    stack: Stack, new_page: NewPage, harm: Act, mend: Act, said: str
) -> None:
    text, gate = question("Unkept"), Gate()
    # Twice: the turn may be claimed anew before the text that was kept is written.
    stack.model.answer(text, Script([*words("Still "), Hold(gate), *words("here.")]), Script(words("Still here.")))
    page = new_page()
    ask(page, text)
    expect(page.locator(".row.reply .prose")).to_contain_text("Still")
    harm(stack)
    gate.open()
    expect(page.locator("#trouble-reason")).to_contain_text(said)
    mend(stack)
    expect(answered(page, 1).locator(".prose")).to_have_text("Still here.")
    expect(page.locator("#trouble")).to_be_hidden(timeout=20_000)


def test_an_ended_session_is_said_and_nothing_typed_is_lost(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("Before"))
    box(page).fill("half a thought")
    page.context.clear_cookies()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.reload()
    expect(page.locator("#status")).to_have_text("Session ended")
    expect(page.locator("#trouble-reason")).to_contain_text("What you have typed is kept")
    expect(page.locator("#loading")).to_be_hidden()
    expect(box(page)).to_have_value("half a thought")
    # What is sent now waits for no connection: it is said not to be sent, and goes along into the new session.
    box(page).press("Enter")
    expect(page.locator(".row-note")).to_contain_text("Not sent: the session has ended")
    page.get_by_role("button", name="Go on with a new one").click()
    online(page)
    expect(page).to_have_url(stack.webs[0].url + "/")
    expect(box(page)).to_have_value("half a thought")
    box(page).press("Enter")
    answered(page, 1)


def test_a_message_past_the_limit_waits_says_for_how_long_and_can_be_taken_back(
    stack: Stack, new_page: NewPage
) -> None:
    web = Web("web-limited", {**stack.environ, "RATE_LIMIT": "1/25seconds"}, stack.folder)
    web.start()
    try:
        eventually(web.is_up, "it is up", 60)
        page = new_page(web.url)
        online(page)
        ask_and_wait(page, question("Allowed"))
        text = question("Too soon")
        ask(page, text)
        row = page.locator(".row.said").last
        expect(row).to_contain_text(re.compile(r"That was a lot at once; sent by itself in \d+ s"))
        # Another tab would send it as well; not when it is taken back.
        other = new_page(web.url, like=page)
        other.locator("#conversations .item").get_by_role("link").click()
        expect(other.locator(".row.said").last).to_contain_text("sent by itself")
        row.get_by_role("button", name="Take back").click()
        for tab in (page, other):
            expect(tab.locator(".row.said")).to_have_count(1)
        expect(box(page)).to_have_value(text)
        expect(box(page)).to_be_focused()
        box(page).press("Enter")
        expect(row).to_contain_text("sent by itself")
        behind = question("Behind")
        ask(page, behind)
        expect(row).to_contain_text("Sent after the one before it")
        row.get_by_role("button", name="Take back").click()
        expect(page.locator(".row.said")).to_have_count(2)
        expect(box(page)).to_have_value(behind)
        answered(page, 2)
        assert len(stack.model.requests(text)) == 1
        assert stack.model.requests(behind) == []
    finally:
        web.kill()


def test_a_provider_that_is_down_is_named_and_another_one_answers(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    page.get_by_label("Model").select_option(label="none")
    text = question("Anybody there")
    ask(page, text)
    expect(page.locator(".stage")).to_contain_text("“dead” could not be reached; trying again")
    answered(page, 1)
    expect(page.locator(".problem")).to_contain_text("“dead” could not be reached")
    page.get_by_label("Model").select_option(label="small")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".reply .facts")).to_contain_text("small")
    expect(page.locator(".problem")).to_be_hidden()


def test_what_replies_have_used_is_said_and_added_up(stack: Stack, new_page: NewPage) -> None:
    def usage() -> list[str]:
        page.get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name="Usage").click()
        dialog = page.get_by_role("dialog", name="Usage")
        expect(dialog).to_be_visible()
        said = dialog.locator("dd").all_inner_texts()
        page.keyboard.press("Escape")
        return said

    def asked() -> Locator:
        text = question("Cheap")
        stack.model.answer(text, Script(words("Seven tokens read, eleven written."), usage=(7, 11)))
        return ask_and_wait(page, text)

    page = new_page()
    online(page)
    assert usage() == ["Nothing used yet"]
    for _ in range(2):
        reply = asked()
        expect(reply.locator(".facts")).to_have_text("small, chat · 18 tokens · $0.0290")
    assert usage() == ["14 tokens read, 22 written · $0.0580"] * 2
    new_chat(page)
    asked()
    assert usage() == ["7 tokens read, 11 written · $0.0290", "21 tokens read, 33 written · $0.0870"]
