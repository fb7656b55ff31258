"""The list of conversations, and the addresses of them."""

from playwright.sync_api import Locator, Page, expect

from tests.e2e.chat import ask, ask_and_wait, box, question
from tests.e2e.conftest import NewPage
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words


def entry(page: Page, about: str) -> Locator:
    return page.locator("#conversations .item").filter(has_text=about)


def test_what_goes_on_elsewhere_is_marked(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Elsewhere"), Gate()
    stack.model.answer(text, Script([*words("Slowly "), Hold(gate), *words("done.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose")).to_contain_text("Slowly")
    page.get_by_role("link", name="New chat").click()
    expect(entry(page, "Elsewhere").get_by_role("img", name="Replying")).to_be_visible()
    gate.open()
    expect(entry(page, "Elsewhere").get_by_role("img", name="Something new")).to_be_visible()
    page.reload()
    expect(entry(page, "Elsewhere").get_by_role("img", name="Something new")).to_be_visible()
    entry(page, "Elsewhere").get_by_role("link").click()
    expect(page.locator(".reply .prose")).to_have_text("Slowly done.")
    expect(entry(page, "Elsewhere").get_by_role("img")).to_have_count(0)


def test_a_conversation_is_renamed_and_deleted_and_had_back(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("Rename me"))
    address = page.url
    other = new_page(like=page)
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("A better name")
    page.keyboard.press("Enter")
    for tab in (page, other):
        expect(entry(tab, "A better name")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("A better name")
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(entry(page, "A better name")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(address)
    expect(page.locator(".row.said")).to_have_count(1)
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.reload()
    expect(entry(other, "A better name")).to_have_count(0)


def test_instructions_are_sent_along(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    box(page).fill("typed before")
    page.get_by_role("button", name="Instructions").click()
    page.get_by_label("How should it answer?").fill("Answer like a sailor.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#instruct")).to_contain_class("in-use")
    expect(box(page)).to_have_value("typed before")
    text = question("Ahoy")
    ask_and_wait(page, text)
    assert "sailor" in str(stack.model.request(text).messages[0])


def test_addresses_work_and_back_goes_back(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    first, second = question("First"), question("Second")
    ask_and_wait(page, first)
    address = page.url
    page.get_by_role("link", name="New chat").click()
    ask_and_wait(page, second)
    page.go_back()
    expect(page).to_have_url(address)
    expect(page.locator(".bubble")).to_have_text(first)
    page.go_forward()
    expect(page.locator(".bubble")).to_have_text(second)
    expect(new_page(address, like=page).locator(".bubble")).to_have_text(first)
    expect(new_page(address).get_by_role("heading", name="This conversation is not here")).to_be_visible()
