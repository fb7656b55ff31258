"""The page finds out by itself that it has missed something, also when nothing more comes that would tell it."""

import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.chat import show
from tests.e2e.conftest import NewPage
from tests.support.network import Network
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Script, words

SOCKET = re.compile(r"^ws://.*/socket\.io/")


def begun(stack: Stack, page: Page) -> tuple[str, Gate]:
    """(question, gate) of a reply that has said “Still ” and holds."""
    text, gate = f"Heal {uuid.uuid4().hex}", Gate()
    stack.model.answer(text, Script([*words("Still "), Hold(gate), *words("here.")]))
    box = page.get_by_role("textbox", name="Message")
    box.fill(text)
    box.press("Enter")
    expect(page.locator(".row.reply .prose")).to_contain_text("Still")
    return text, gate


def expect_healed(page: Page) -> None:
    reply = page.locator(".row.reply")
    expect(reply.locator(".row-foot")).to_be_visible(timeout=60_000)
    expect(reply.locator(".prose")).to_have_text("Still here.")
    expect(reply).to_have_count(1)
    expect(page.locator(".row.said")).to_have_count(1)
    expect(page.locator("#status")).to_have_attribute("data-status", "online")


# --- The connection is lost, and nothing says so ----------------------------------------------------------------------


@pytest.fixture
def network(stack: Stack) -> Iterator[Network]:
    network = Network(stack.webs[0].port)
    yield network
    network.close()


def test_a_network_that_was_gone(stack: Stack, new_page: NewPage, network: Network) -> None:
    page = new_page(network.url)
    text, gate = begun(stack, page)
    network.fall_silent()
    gate.open()
    stack.model.request(text).wait_ended()
    expect(page.locator(".row.reply")).to_contain_class("streaming")
    network.recover_without_its_connections()
    expect_healed(page)


def test_a_connection_that_is_dead_and_looks_open(stack: Stack, new_page: NewPage, network: Network) -> None:
    page = new_page("about:blank")
    page.clock.install()
    page.goto(network.url)
    text, gate = begun(stack, page)
    network.fall_silent_for_those_connected()
    gate.open()
    stack.model.request(text).wait_ended()
    expect(page.locator(".row.reply")).to_contain_class("streaming")

    def hurry() -> bool:
        page.clock.fast_forward(2_000)
        return page.locator(".row.reply .row-foot").is_visible()

    until(page, hurry)
    expect_healed(page)


# --- Events are lost, and the connection works ------------------------------------------------------------------------


class Leak:
    """Between the page and the server: while it is open, events of conversations are lost."""

    def __init__(self, page: Page) -> None:
        self.open = False
        self.lost_the_end = False
        self._page = page
        self._asked: set[str] = set()  # for what came meanwhile, and not yet answered
        page.route_web_socket(SOCKET, self._route)

    def begin(self) -> None:
        """Not before all answers are there: the end could be in one of them."""
        until(self._page, lambda: not self._asked)
        self.open = True

    def _route(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def ask(message: str | bytes) -> None:
            if found := re.match(r'42(\d+)\["open_conversation"', str(message)):
                self._asked.add(found[1])
            server.send(message)

        socket.on_message(ask)

        def pass_on(message: str | bytes) -> None:
            if found := re.match(r"43(\d+)\[", str(message)):
                self._asked.discard(found[1])
            if self.open and isinstance(message, str) and message.startswith('42["event"'):
                self.lost_the_end = self.lost_the_end or '"turn.finished"' in message
            else:
                socket.send(message)

        server.on_message(pass_on)


def test_a_turn_that_seems_to_hang(stack: Stack, new_page: NewPage) -> None:
    page = new_page("about:blank")
    page.clock.install()
    leak = Leak(page)
    page.goto(stack.webs[0].url)
    text, gate = begun(stack, page)
    leak.begin()
    gate.open()
    stack.model.request(text).wait_ended()
    until(page, lambda: leak.lost_the_end)
    leak.open = False
    expect(page.locator(".row.reply")).to_contain_class("streaming")
    page.clock.fast_forward(20_000)
    expect_healed(page)


def test_a_tab_that_is_looked_at_again(stack: Stack, new_page: NewPage) -> None:
    page = new_page("about:blank")
    leak = Leak(page)
    page.goto(stack.webs[0].url)
    text, gate = begun(stack, page)
    show(page, False)
    leak.begin()
    gate.open()
    stack.model.request(text).wait_ended()
    until(page, lambda: leak.lost_the_end)
    leak.open = False
    expect(page.locator(".row.reply")).to_contain_class("streaming")
    show(page, True)
    expect_healed(page)


def test_a_message_queue_that_breaks_as_a_reply_ends(stack: Stack, new_page: NewPage) -> None:
    page = new_page()
    text, gate = begun(stack, page)
    stack.redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    gate.open()
    stack.redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    stack.model.request(text).wait_ended()
    expect_healed(page)


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Lets Playwright handle what comes from the browser meanwhile."""
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen")
