"""Pictures of the page's states, for the documentation and for a look at all of them.

python -m tests.e2e.screenshots                    what docs/screenshots/ holds
python -m tests.e2e.screenshots --all FOLDER       every state, three widths, light and dark
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.browser import chromium
from tests.e2e.chat import answered, ask, ask_and_wait, box, online
from tests.support.processes import eventually
from tests.support.stack import Stack, Web
from tests.support.upstream import Failure, Gate, Hold, Reasoning, Script, words

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"

Scheme = Literal["light", "dark"]
Scene = Callable[[Stack, Page], None]


@dataclass(frozen=True)
class Look:
    width: int
    height: int
    schemes: list[Scheme]

    @property
    def is_phone(self) -> bool:
        return self.width < 500


QUESTION = "Why are there two tides a day?"
REPLY = r"""The moon pulls at the near side of the earth **more**, and at the far side **less**, than at its middle. \
So the sea bulges twice, and we turn under both bulges.

$$a \approx \frac{2\,G\,m\,r}{d^3}$$

| body | distance | pull |
|---|--:|--:|
| Moon | 384,400 km | 1 |
| Sun | 149.6 million km | 0.46 |

```python
def pull(mass: float, distance: float) -> float:
    return 2 * G * mass * RADIUS / distance**3  # falls with the cube
```

- [x] two bulges
- [ ] why the far one is almost as high
"""

LONG = """## Before the first spring

Bees need *less* than one thinks: a **place in the morning sun**, water within a hundred metres, and a keeper who
looks after them about once a week. [The nearest club](https://example.com) knows what your council wants to know.

1. Ask the neighbours.
2. Find a club; most lend the tools:
   - a smoker and a `hive tool`
   - a veil, and gloves while you learn
   - somebody who has done it before
3. Order a colony for May.

> A colony that is looked at too often leaves. One that is never looked at leaves as well.

## Through the year

### What to look for

- [x] eggs, one in each cell
- [ ] queen cells at the edge of the comb
- [ ] mites, counted on a board

| month | colony | keeper | honey | note |
|---|---|---|--:|---|
| March | wakes up | feeds, if the stores are light | 0 kg | do not open it below 12 °C |
| May | doubles each month | gives room before it is needed | 6 kg | watch for queen cells |
| July | 50,000 bees | takes the honey, treats against mites | 18 kg | leave them enough |

Count what is left with $h = \\frac{m - m_0}{n}$, or let the computer do it:

```javascript
// Stores in kilograms, from what the scales say.
export const stores = ({ gross, hive }) => Math.max(0, gross - hive - 2.5);

console.log(`${stores({ gross: 41.2, hive: 17 }).toFixed(1)} kg are left`); // a comment that goes on beyond the edge
```

```
no language
```

---

That is all there is to it, said the man with the swollen hand.
"""


def empty(_stack: Stack, page: Page) -> None:
    online(page)


def chat(stack: Stack, page: Page) -> None:
    stack.model.answer(QUESTION, Script([Reasoning("Two bulges, one explanation."), *words(REPLY)]))
    ask_and_wait(page, QUESTION)
    expect(page.locator(".katex")).to_be_visible()
    page.wait_for_load_state("networkidle")


def prose(stack: Stack, page: Page) -> None:
    stack.model.answer("How do I keep bees?", Script(words(LONG)))
    reply = ask_and_wait(page, "How do I keep bees?")
    page.wait_for_load_state("networkidle")
    reply.locator("h2").nth(1).scroll_into_view_if_needed()


def streaming(stack: Stack, page: Page) -> None:
    written, _, _ = REPLY.partition("    return")
    stack.model.answer(QUESTION, Script([Reasoning("Two bulges."), *words(written), Hold(Gate())]))
    ask(page, QUESTION)
    expect(page.locator(".streaming .code-block")).to_contain_text("def pull")


def thinking(stack: Stack, page: Page) -> None:
    thought = Reasoning("Two bulges, one explanation. Which of the two forces do people usually forget?")
    stack.model.answer(QUESTION, Script([thought, Hold(Gate())]))
    ask(page, QUESTION)
    page.locator(".reasoning summary").click()


def first_word(stack: Stack, page: Page) -> None:
    stack.model.answer("Are you awake?", Script([Hold(Gate())]))
    ask(page, "Are you awake?")
    expect(page.locator(".stage")).to_contain_text("first word")


def versions(stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Say it in one line")
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".reply .versions-place")).to_have_text("2/2")


def queue(stack: Stack, page: Page) -> None:
    stack.model.answer("Tell me of the sea", Script([*words("It is wide, it is"), Hold(Gate())]))
    ask(page, "Tell me of the sea")
    expect(page.locator(".reply .prose")).to_contain_text("wide")
    ask(page, "And of ships")
    expect(page.locator(".stage").last).to_contain_text("In the queue")


def unread(stack: Stack, page: Page) -> None:
    gate = Gate()
    stack.model.answer("Tell me all", Script([*words("It was a long night. " * 150), Hold(gate), *words("And more. ")]))
    ask(page, "Tell me all")
    gate.wait_reached()
    expect(page.locator(".reply .prose")).to_contain_text("night")
    page.wait_for_timeout(300)
    page.locator("#scroller").evaluate("box => { box.scrollTop -= 400 }")
    gate.open()
    answered(page, 1)


def stopped(stack: Stack, page: Page) -> None:
    stack.model.answer("Count to a million", Script([*words("One, two, three,"), Hold(Gate())]))
    ask(page, "Count to a million")
    expect(page.locator(".reply .prose")).to_contain_text("three")
    page.keyboard.press("Escape")
    expect(page.locator(".facts")).to_contain_text("Stopped")


def failure(stack: Stack, page: Page) -> None:
    stack.model.answer("Are you there?", Script.error(401, "no"))
    ask(page, "Are you there?")
    answered(page, 1)


def half_failed(stack: Stack, page: Page) -> None:
    stack.model.answer("Tell me of the sea", Script([*words("It is wide, it is"), Failure("overloaded")]))
    ask(page, "Tell me of the sea")
    answered(page, 1)


def provider_down(_stack: Stack, page: Page) -> None:
    page.get_by_label("Model").select_option(label="none")
    ask(page, "Is anybody there?")
    expect(page.locator(".stage")).to_contain_text("trying again")


def taken_over(stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Good morning")
    text, gate = "Tell me of the sea", Gate()
    # Those of earlier pictures are taken over as well.
    stack.model.answer(text, *[Script([*words("It is wide,"), Hold(gate)])] * 12)
    ask(page, text)
    expect(page.locator(".row.reply .prose").last).to_contain_text("wide")
    stack.workers[0].kill()
    stack.repair()
    expect(page.locator(".stage").last).to_contain_text("Taken over by another worker")


def no_worker(stack: Stack, page: Page) -> None:
    stack.workers[0].kill()
    ask(page, "Anybody there?")
    expect(page.locator("#trouble-reason")).to_contain_text("no worker is running")


def no_database(stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Before the database went away")
    stack.redis.kill()
    ask(page, "Written meanwhile")
    expect(page.locator(".row-note").last).to_contain_text("database")


def limited(stack: Stack, page: Page) -> None:
    web = Web("web-limited", {**stack.environ, "RATE_LIMIT": "1/60seconds"}, stack.folder)
    web.start()
    page.context.on("close", lambda _: web.kill())
    eventually(web.is_up, "it is up", 60)
    page.goto(web.url)
    ask_and_wait(page, "The first question")
    ask(page, "The second, too soon")
    expect(page.locator(".row.said").last).to_contain_text("sent by itself")


def too_long(_stack: Stack, page: Page) -> None:
    online(page)
    box(page).fill("and more words of it " * 5000)
    expect(page.locator("#too-long")).not_to_be_empty()


def editing(_stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Give me three names for a grey cat")
    box(page).press("ArrowUp")


def offline(stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Before the cable was cut")
    stack.webs[0].kill()
    expect(page.locator("#trouble")).to_be_visible()
    ask(page, "Written meanwhile")


def expired(_stack: Stack, page: Page) -> None:
    online(page)
    page.context.clear_cookies()
    page.reload()
    expect(page.locator("#trouble")).to_be_visible()
    box(page).fill("Half a thought")


def missing(_stack: Stack, page: Page) -> None:
    page.goto("/c/nowhere")
    expect(page.locator("#missing")).to_be_visible()


def show_list(page: Page) -> None:
    if page.locator("#sidebar-open").is_visible():
        page.locator("#sidebar-open").click()


def sidebar(stack: Stack, page: Page) -> None:
    for text in ("Three names for a grey cat", "Why the sky is blue"):
        ask_and_wait(page, text)
        page.keyboard.press("Control+Shift+o")
    stack.model.answer("Why does this fail?", Script.error(401, "no"))
    ask_and_wait(page, "Why does this fail?")
    for text in (
        "What is said while nobody looks?",
        "A long walk along the coast of Brittany",
        "And what comes after it",
    ):
        page.keyboard.press("Control+Shift+o")
        gate = Gate()
        stack.model.answer(text, Script([Hold(gate), *words("It is told.")]))
        ask(page, text)
        gate.wait_reached()
        if text.startswith("What"):
            page.keyboard.press("Control+Shift+o")
            gate.open()
            expect(page.locator(".mark[data-state=unread]")).to_have_count(1)
    show_list(page)


def searching(stack: Stack, page: Page) -> None:
    sidebar(stack, page)
    page.get_by_role("searchbox", name="Search conversations").fill("sky")
    expect(page.locator("#conversations .item")).to_have_count(1)


def deleted(_stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Three names for a grey cat")
    page.locator("#conversation-menu").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.locator("#undo")).to_be_visible()


def actions(_stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Three names for a grey cat")
    page.locator("#conversation-menu").click()


def renaming(stack: Stack, page: Page) -> None:
    actions(stack, page)
    page.get_by_role("menuitem", name="Rename").click()


def clearing(stack: Stack, page: Page) -> None:
    actions(stack, page)
    page.get_by_role("menuitem", name="Clear").click()


def instructions(_stack: Stack, page: Page) -> None:
    online(page)
    page.get_by_role("button", name="Instructions").click()
    page.get_by_label("How should it answer?").fill("Answer like a sailor.")


def more(_stack: Stack, page: Page) -> None:
    online(page)
    show_list(page)
    page.get_by_role("button", name="More").click()


def usage(stack: Stack, page: Page) -> None:
    ask_and_wait(page, "Three names for a grey cat")
    more(stack, page)
    page.get_by_role("menuitem", name="Usage").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def shortcuts(_stack: Stack, page: Page) -> None:
    online(page)
    page.keyboard.press("Control+/")


# These are kept in the documentation; the others are for a look.
KEPT: list[Scene] = [
    empty,
    chat,
    versions,
    queue,
    failure,
    editing,
    offline,
    expired,
    missing,
    sidebar,
    shortcuts,
]
OTHERS: list[Scene] = [
    prose,
    streaming,
    thinking,
    first_word,
    unread,
    stopped,
    half_failed,
    provider_down,
    taken_over,
    no_worker,
    no_database,
    limited,
    too_long,
    searching,
    deleted,
    actions,
    renaming,
    clearing,
    instructions,
    more,
    usage,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    parser.add_argument("--scenes", nargs="*", metavar="NAME", help="only these")
    options = parser.parse_args()
    scenes, looks = KEPT, [Look(1440, 900, ["light"]), Look(360, 740, ["dark"])]
    if options.all:
        scenes = [*KEPT, *OTHERS]
        looks = [Look(width, height, ["light", "dark"]) for width, height in ((360, 740), (768, 1024), (1440, 900))]
    prices = {"PRICES": '{"small": {"input": 1000, "output": 2000}}', "LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5"}
    with (
        tempfile.TemporaryDirectory() as scratch,
        Stack(Path(scratch), environ=prices) as stack,
        chromium() as browser,
    ):
        for scene in scenes:
            if not options.scenes or scene.__name__ in options.scenes:
                for look in looks:
                    take(stack, browser, scene, look, options.all)


def take(stack: Stack, browser: Browser, scene: Scene, look: Look, folder: Path | None) -> None:
    stack.repair()
    context = browser.new_context(
        viewport=ViewportSize(width=look.width, height=look.height),
        base_url=stack.webs[0].url,
        color_scheme=look.schemes[0],
        has_touch=look.is_phone,
        is_mobile=look.is_phone,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/")
    scene(stack, page)
    page.mouse.move(0, 0)
    for scheme in look.schemes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_timeout(300)  # for what moves, to arrive
        name = f"{scene.__name__}-{look.width}-{scheme}" if folder else scene.__name__ + "-phone" * look.is_phone
        page.screenshot(path=(folder or FOLDER) / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()
