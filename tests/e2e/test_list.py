"""The list of conversations, and the addresses of them."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.chat import answered, ask, ask_and_wait, box, new_chat, online, question, show
from tests.e2e.conftest import NewPage
from tests.support.http_client import Api
from tests.support.processes import eventually
from tests.support.stack import Stack, Web
from tests.support.upstream import Gate, Hold, Script, words


def entry(page: Page, about: str) -> Locator:
    return page.locator("#conversations .item").filter(has_text=about)


def test_what_goes_on_elsewhere_is_marked(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Elsewhere"), Gate()
    stack.model.answer(text, Script([*words("Slowly "), Hold(gate), *words("done.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose")).to_contain_text("Slowly")
    new_chat(page)
    expect(entry(page, "Elsewhere").get_by_role("img", name="Replying")).to_be_visible()
    gate.open()
    expect(entry(page, "Elsewhere").get_by_role("img", name="Something new")).to_be_visible()
    page.reload()
    expect(entry(page, "Elsewhere").get_by_role("img", name="Something new")).to_be_visible()
    entry(page, "Elsewhere").get_by_role("link").click()
    expect(page.locator(".reply .prose")).to_have_text("Slowly done.")
    expect(entry(page, "Elsewhere").get_by_role("img")).to_have_count(0)


def test_a_conversation_is_renamed_and_deleted_and_had_back(stack: Stack, new_page: NewPage) -> None:
    page = new_page(unhurried=True)
    ask_and_wait(page, question("Rename me"))
    address = page.url
    other = new_page(like=page)
    menu = page.locator("#conversation-menu")
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "true")
    menu.click()
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("menu")).to_have_count(0)
    menu.click()
    page.get_by_role("menuitem", name="Rename").click()
    expect(page.get_by_label("Title")).to_have_value(re.compile("^Rename me"))
    page.get_by_label("Title").fill("A better name")
    page.keyboard.press("Enter")
    for tab in (page, other):
        expect(entry(tab, "A better name")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("A better name")
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(entry(page, "A better name")).to_have_count(0)
    passing = new_page(like=page)
    expect(entry(passing, "A better name")).to_have_count(1)
    passing.close(run_before_unload=True)
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(address)
    expect(page.locator(".row.said")).to_have_count(1)
    expect(entry(other, "A better name")).to_have_count(1)
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.reload()
    expect(entry(other, "A better name")).to_have_count(0)


def test_another_device_sees_what_is_made_and_deleted(stack: Stack, new_page: NewPage) -> None:
    page, device = new_page(), new_page("/healthz")
    kept, gone = question("Kept"), question("Gone")
    ask_and_wait(page, kept)
    device.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    device.goto("/")
    expect(entry(device, "Kept")).to_have_count(1)
    new_chat(page)
    ask_and_wait(page, gone)
    expect(entry(device, "Gone")).to_have_count(1)
    watching = new_page(page.url, like=device)
    answered(watching, 1)
    box(watching).fill("half a thought")
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.reload()
    for tab in (page, device, watching):
        expect(entry(tab, "Gone")).to_have_count(0)
        expect(entry(tab, "Kept")).to_have_count(1)
    expect(watching).to_have_url(stack.webs[0].url + "/")
    expect(box(watching)).to_have_value("half a thought")


@pytest.mark.parametrize("is_open", [True, False])
def test_a_message_for_a_conversation_that_was_deleted_meanwhile_is_kept(
    stack: Stack, new_page: NewPage, is_open: bool
) -> None:
    page = new_page()
    ask_and_wait(page, question("Stays"))
    new_chat(page)
    ask_and_wait(page, question("Goes"))
    gone = page.url
    stack.webs[0].kill()
    expect(page.locator("#trouble")).to_be_visible()
    text = question("Too late")
    ask(page, text)
    expect(page.locator(".row-note").last).to_contain_text("Sent when there is a connection")
    if not is_open:
        entry(page, "Stays").get_by_role("link").click()
    elsewhere = Web("web-elsewhere", stack.environ, stack.folder)
    elsewhere.start()
    try:
        eventually(elsewhere.is_up, "it is up", 60)
        [cookie] = page.context.cookies()
        deleted = Api(elsewhere.url, cookie["value"])("DELETE", f"/api/conversations/{gone.rsplit('/', 1)[1]}")
        assert deleted.ok
    finally:
        elsewhere.kill()
    stack.repair()
    if is_open:
        expect(page.get_by_role("heading", name="This conversation is not here")).to_be_visible()
    else:
        expect(page.locator("#notice-text")).to_contain_text("A new chat has its text")
    new_chat(page)
    expect(box(page)).to_have_value(text)


def test_two_tabs_delete_the_same(stack: Stack, new_page: NewPage) -> None:
    page = new_page(unhurried=True)
    ask_and_wait(page, question("Twice"))
    other = new_page(page.url, like=page)
    answered(other, 1)
    for tab in (page, other):
        tab.locator("#conversation-menu").click()
        tab.get_by_role("menuitem", name="Delete").click()
        expect(tab.locator("#undo")).to_be_visible()
    page.reload()
    expect(other.locator("#undo")).to_be_hidden()
    for tab in (page, other):
        expect(entry(tab, "Twice")).to_have_count(0)
        expect(tab.locator("#notice")).to_be_hidden()


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


def test_instructions_that_cannot_be_saved_are_kept(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    online(page)
    stack.webs[0].kill()
    expect(page.locator("#trouble")).to_be_visible()
    page.get_by_role("button", name="Instructions").click()
    page.get_by_label("How should it answer?").fill("Answer like a sailor.")
    # A click beside the question is no answer to it.
    page.mouse.click(5, 5)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice-text")).to_have_text("There is no connection to the server.")
    stack.repair()
    expect(page.locator("#trouble")).to_be_hidden()
    page.get_by_role("button", name="Instructions").click()
    expect(page.get_by_label("How should it answer?")).to_have_value("Answer like a sailor.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#instruct")).to_contain_class("in-use")


def test_what_is_typed_in_a_question_is_kept_until_it_is_saved(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("Keep what I type"))
    field, unsaved = page.get_by_label("How should it answer?"), page.get_by_text("This has not been saved yet.")

    def instruct() -> None:
        page.get_by_role("button", name="Instructions").click()

    instruct()
    expect(unsaved).to_be_hidden()
    field.fill("Answer like a")
    field.press("Escape")
    instruct()
    expect(unsaved).to_be_visible()
    expect(field).to_have_value("Answer like a")
    field.press_sequentially(" sailor.")
    page.reload()
    answered(page, 1)
    instruct()
    expect(field).to_have_value("Answer like a sailor.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#instruct")).to_contain_class("in-use")
    instruct()
    expect(unsaved).to_be_hidden()
    field.fill("Answer like a cook.")
    page.get_by_role("button", name="Cancel").click()
    instruct()
    page.get_by_role("button", name="Discard").click()
    expect(field).to_have_value("Answer like a sailor.")
    expect(unsaved).to_be_hidden()
    field.press("Escape")
    instruct()
    expect(unsaved).to_be_hidden()
    expect(field).to_have_value("Answer like a sailor.")
    field.press("Escape")

    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("A name half typ")
    page.reload()
    answered(page, 1)
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    expect(page.get_by_label("Title")).to_have_value("A name half typ")


def test_addresses_work_and_back_goes_back(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    first, second = question("First"), question("Second")
    ask_and_wait(page, first)
    address = page.url
    new_chat(page)
    ask_and_wait(page, second)
    page.go_back()
    expect(page).to_have_url(address)
    expect(page.locator(".bubble")).to_have_text(first)
    page.go_forward()
    expect(page.locator(".bubble")).to_have_text(second)
    expect(new_page(address, like=page).locator(".bubble")).to_have_text(first)
    expect(new_page(address).get_by_role("heading", name="This conversation is not here")).to_be_visible()


def test_conversations_are_found_by_what_was_said_in_them(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, "Tell me of albatrosses")
    new_chat(page)
    ask_and_wait(page, "And of ships")
    search = page.get_by_role("searchbox", name="Search conversations")
    search.fill("albatross")
    expect(page.locator("#conversations .item")).to_have_count(1)
    entry(page, "albatross").get_by_role("link").click()
    expect(page.locator(".bubble")).to_have_text("Tell me of albatrosses")
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("Sea birds")
    page.keyboard.press("Enter")
    expect(page.locator("#conversations .item-title")).to_have_text("Sea birds")
    search.press("Escape")
    expect(page.locator("#conversations .item")).to_have_count(2)


def test_what_is_found_and_deleted_is_not_found_and_a_search_that_fails_says_so(
    stack: Stack, new_page: NewPage
) -> None:
    page = new_page(unhurried=True)
    ask_and_wait(page, "Tell me of herons")
    search, items = page.get_by_role("searchbox", name="Search conversations"), page.locator("#conversations .item")
    search.fill("heron")
    expect(items).to_have_count(1)
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_text("Nothing was found.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(items).to_have_count(1)
    stack.webs[0].kill()
    expect(page.locator("#trouble")).to_be_visible()
    search.fill("herons")
    expect(page.get_by_text("The search failed. There is no connection to the server.")).to_be_visible()
    stack.repair()
    expect(items).to_have_count(1)
    expect(page.locator("#notice")).to_be_hidden()


def test_what_is_deleted_while_there_is_no_connection_is_deleted(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    ask_and_wait(page, question("To be deleted"))
    address = page.url
    expect(entry(page, "To be deleted")).to_have_count(1)
    stack.webs[0].kill()
    expect(page.locator("#trouble")).to_be_visible()
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.locator("#undo")).to_be_visible()
    expect(page.locator("#undo")).to_be_hidden()
    passing = page.context.new_page()
    page.close()
    stack.repair()
    passing.goto("/")
    left = "Object.keys(localStorage).filter((key) => key.startsWith('parley.removed.'))"
    eventually(lambda: passing.evaluate(left) == [], "it is deleted")
    passing.goto(address)
    expect(passing.get_by_role("heading", name="This conversation is not here")).to_be_visible()
    expect(entry(passing, "To be deleted")).to_have_count(0)


def test_what_is_read_in_one_tab_is_not_new_in_another(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Read here"), Gate()
    stack.model.answer(text, Script([*words("Slowly "), Hold(gate), *words("done.")]))
    page = new_page()
    ask(page, text)
    expect(page.locator(".reply .prose")).to_contain_text("Slowly")
    other = new_page("/", like=page)
    expect(entry(other, "Read here").get_by_role("img", name="Replying")).to_be_visible()
    show(other, False)
    gate.open()
    answered(page, 1)
    for tab in (page, other):
        expect(entry(tab, "Read here").get_by_role("img")).to_have_count(0)
    new_chat(page)
    for tab in (page, other):
        tab.reload()
        expect(entry(tab, "Read here")).to_have_count(1)
        expect(entry(tab, "Read here").get_by_role("img")).to_have_count(0)


def test_a_conversation_is_taken_out_and_brought_in(stack: Stack, new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    text = question("Take this away")
    ask_and_wait(page, text)
    for name in ("Export as Markdown", "Export as JSON"):
        page.locator("#conversation-menu").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=name).click()
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        assert text in saved.read_text()
    json.loads(saved.read_text())
    stranger = new_page()
    stranger.get_by_role("button", name="More").click()
    with stranger.expect_file_chooser() as chooser:
        stranger.get_by_role("menuitem", name="Import").click()
    chooser.value.set_files(saved)
    expect(stranger.locator(".bubble")).to_have_text(text)
