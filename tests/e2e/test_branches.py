"""Other versions of what was said: answered again, written anew, and switched between, in all tabs alike."""

from playwright.sync_api import Locator, Page, expect

from tests.e2e.chat import answered, ask, ask_and_wait, box, question
from tests.e2e.conftest import NewPage
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Reasoning, Script, words


def place(page: Page, kind: str, number: int = -1) -> Locator:
    """Which of how many versions this is, once the server has named it."""
    return page.locator(f".row.{kind}").nth(number).locator(".versions-place")


def test_a_reply_is_answered_again_and_both_are_kept(stack: Stack, new_page: NewPage) -> None:
    text = question("Once more")
    stack.model.answer(text, Script(words("The first.")), Script(words("The second.")))
    page = new_page()
    ask_and_wait(page, text)
    follow = question("Follow")
    ask_and_wait(page, follow)
    other = new_page(page.url, like=page)
    answered(other, 2)
    page.locator(".reply").first.get_by_role("button", name="Answer again").click()
    for tab in (page, other):
        reply = answered(tab, 1)
        expect(reply.locator(".prose")).to_have_text("The second.")
        expect(reply.locator(".versions-place")).to_have_text("2/2")
    back = page.locator(".reply").first.get_by_role("button", name="Earlier version")
    back.focus()
    page.keyboard.press("Enter")
    for tab in (page, other):
        expect(tab.locator(".row.reply .prose").first).to_have_text("The first.")
        expect(tab.locator(".row.said")).to_have_count(2)
        expect(tab.locator(".bubble").last).to_have_text(follow)
    expect(back).to_be_focused()
    page.reload()
    expect(page.locator(".row.reply .prose").first).to_have_text("The first.")
    expect(place(page, "reply", 0)).to_have_text("1/2")


def test_a_double_click_asks_once(stack: Stack, new_page: NewPage) -> None:
    text = question("Twice")
    page = new_page()
    ask_and_wait(page, text)
    page.get_by_role("button", name="Answer again").dblclick()
    # What is sent now waits for all that was asked before it.
    follow = question("Follow")
    ask(page, follow)
    stack.model.request(follow)
    answered(page, 2)
    assert len(stack.model.requests(text)) == 2
    expect(place(page, "reply", 0)).to_have_text("2/2")


def test_a_message_is_edited_and_sent_again(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    first, second, changed = question("One"), question("Two"), question("Two, changed")
    ask_and_wait(page, first)
    ask_and_wait(page, second)
    box(page).fill("a thought for later")
    page.locator(".row.said").last.hover()
    page.locator(".row.said").last.get_by_role("button", name="Edit and send again").click()
    expect(box(page)).to_be_focused()
    expect(box(page)).to_have_value(second)
    page.reload()
    expect(box(page)).to_have_value(second)
    box(page).fill(changed)
    box(page).press("Enter")
    answered(page, 2)
    expect(page.locator(".bubble")).to_have_text([first, changed])
    expect(page.locator(".row.said .versions-place:visible")).to_have_text("2/2")
    expect(box(page)).to_have_value("a thought for later")
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator(".bubble")).to_have_text([first, second])


def test_the_very_first_message_is_edited_with_the_arrow_key_and_esc_gives_up(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    text, changed = question("Start"), question("Another start")
    ask_and_wait(page, text)
    box(page).press("ArrowUp")
    expect(box(page)).to_have_value(text)
    box(page).press("Escape")
    expect(box(page)).to_have_value("")
    box(page).press("ArrowUp")
    expect(box(page)).to_have_value(text)
    # What was changed is not given up with it.
    box(page).fill(changed)
    box(page).press("Escape")
    expect(box(page)).to_have_value("")
    box(page).press("ArrowUp")
    expect(box(page)).to_have_value(changed)
    box(page).press("Enter")
    answered(page, 1)
    expect(page.locator(".bubble")).to_have_text([changed])
    expect(place(page, "said")).to_have_text("2/2")


def test_a_failure_is_tried_again(stack: Stack, new_page: NewPage) -> None:
    text = question("Fail once")
    stack.model.answer(text, Script.error(401, "bad key"), Script(words("Now it works.")))
    page = new_page()
    ask_and_wait(page, text)
    expect(page.locator(".problem")).to_contain_text("did not accept")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".row.reply .prose")).to_have_text("Now it works.")
    expect(page.locator(".problem")).to_be_hidden()
    expect(page.locator(".row.said")).to_have_count(1)


def test_thoughts_are_folded(stack: Stack, new_page: NewPage) -> None:
    text, gate = question("Think"), Gate()
    stack.model.answer(
        text, Script([Reasoning("First I think "), Hold(gate), Reasoning("of it."), *words("Here it is.")])
    )
    page = new_page()
    ask(page, text)
    thoughts = page.locator(".reasoning")
    expect(thoughts.locator("summary")).to_have_text("Thinking")
    expect(thoughts.get_by_text("First I think")).to_be_hidden()
    thoughts.locator("summary").click()
    expect(thoughts.get_by_text("First I think")).to_be_visible()
    gate.open()
    expect(answered(page, 1).locator(".prose")).to_have_text("Here it is.")
    expect(thoughts.locator("summary")).to_have_text("Thoughts")
    expect(thoughts.get_by_text("First I think of it.")).to_be_visible()
    page.reload()
    answered(page, 1)
    thoughts.locator("summary").click()
    expect(thoughts.get_by_text("First I think of it.")).to_be_visible()
