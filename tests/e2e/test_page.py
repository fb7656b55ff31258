"""What a person sees in the page."""

from playwright.sync_api import expect

from tests.e2e.chat import ask, question
from tests.e2e.conftest import NewPage
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words


def test_a_reply_streams_and_survives_a_reload(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("How is the sea?"), Gate()
    stack.model.answer(
        text, Script([*words("Wide, **deep** "), Hold(gate), *words("and salt.\n\n```python\nsea = 1\n```")])
    )
    page = new_page()
    expect(page.locator("#status")).to_have_attribute("data-status", "online")
    ask(page, text)

    reply = page.locator(".row.reply")
    expect(reply).to_contain_class("streaming")
    expect(reply.locator("strong")).to_have_text("deep")
    page.reload()
    expect(page.locator(".row.said")).to_contain_text(text)
    expect(reply.locator("strong")).to_have_text("deep")
    gate.open()
    expect(reply.locator(".row-foot")).to_be_visible()
    expect(reply.locator(".prose")).to_contain_text("Wide, deep and salt.")
    expect(reply.locator("pre code")).to_have_text("sea = 1")
    expect(reply).to_have_count(1)


def test_tabs_are_level_and_stop_stops(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Count for ever"), Gate()
    stack.model.answer(text, Script([*words("One, two, "), Hold(gate), *words("never")]))
    first = new_page()
    ask(first, text)
    expect(first.locator(".row.reply .prose")).to_contain_text("One, two,")
    second = new_page(first.url, like=first)
    expect(second.locator(".row.reply .prose")).to_contain_text("One, two,")

    second.get_by_role("button", name="Stop").click()
    for page in (first, second):
        expect(page.locator(".row.reply .facts")).to_contain_text("Stopped")
        expect(page.locator(".row.reply .prose")).to_have_text("One, two,")
    stack.model.request(text).wait_closed()
    gate.open()


def test_memory_and_model_are_switched_in_mid_chat(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask(page, question("First"))
    expect(page.locator(".reply .row-foot:visible")).to_have_count(1)
    page.get_by_role("switch", name="Memory").click()
    page.get_by_label("Model").select_option(label="thinker")
    text = question("Second")
    ask(page, text)
    expect(page.locator(".reply .row-foot:visible")).to_have_count(2)
    expect(page.locator(".row.reply .facts").last).to_contain_text("thinker")
    expect(page.locator(".row.reply .facts").last).to_contain_text("without memory")
    sent = stack.model.request(text)
    assert sent.api == "responses"
    assert [message["role"] for message in sent.messages if message["role"] != "system"] == ["user"]
    page.reload()
    expect(page.locator(".row.said")).to_have_count(2)
    expect(page.get_by_role("switch", name="Memory")).to_have_attribute("aria-checked", "false")


def test_a_failure_is_said_in_words_and_the_chat_goes_on(stack: Stack, new_page: NewPage) -> None:
    text = question("Fail")
    stack.model.answer(text, Script.error(401, "bad key sk-secret"))
    page = new_page()
    ask(page, text)
    expect(page.locator(".problem")).to_contain_text("did not accept")
    expect(page.locator(".problem")).not_to_contain_text("sk-secret")
    ask(page, question("Again"))
    expect(page.locator(".reply .row-foot:visible .facts").last).to_contain_text("small")


def test_redis_away_is_said_and_healed(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask(page, question("Before"))
    expect(page.locator(".reply .row-foot:visible")).to_have_count(1)
    stack.redis.kill()
    text = question("During")
    ask(page, text)
    expect(page.locator(".row.said").last).to_contain_text("database")
    stack.redis.start()
    expect(page.locator(".reply .row-foot:visible")).to_have_count(2)
    expect(page.locator(".row.said")).to_have_count(2)
    assert len(stack.model.requests(text)) == 1


def test_a_phone_shows_all_of_it(stack: Stack, new_page: NewPage) -> None:
    text = question("Wide")
    stack.model.answer(
        text, Script(["| a | b |\n|---|---|\n| " + "long" * 60 + " | c |\n\n```\n" + "x" * 400 + "\n```"])
    )
    page = new_page(width=360, height=740)
    ask(page, text)
    expect(page.locator(".reply .row-foot:visible")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("Wide")
