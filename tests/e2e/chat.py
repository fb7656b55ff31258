"""What a person does in the page, and sees."""

import uuid

from playwright.sync_api import Locator, Page, expect


def question(about: str) -> str:
    """One that no other test asks."""
    return f"{about} {uuid.uuid4().hex}"


def box(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def ask(page: Page, text: str) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def online(page: Page) -> None:
    expect(page.locator("#status")).to_have_attribute("data-status", "online")


def new_chat(page: Page) -> None:
    page.get_by_role("link", name="New chat").click()
    expect(page.locator(".row")).to_have_count(0)


def answered(page: Page, count: int) -> Locator:
    """So many replies are complete; the last of them."""
    expect(page.locator(".reply .row-foot:visible")).to_have_count(count)
    return page.locator(".row.reply").last


def ask_and_wait(page: Page, text: str) -> Locator:
    before = page.locator(".reply .row-foot:visible").count()
    ask(page, text)
    return answered(page, before + 1)


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def show(page: Page, visible: bool) -> None:
    """As the browser tells a page whose tab is chosen or left."""
    page.evaluate(
        """(visible) => {
          Object.defineProperty(document, 'hidden', { value: !visible, configurable: true });
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        visible,
    )
