"""Pictures of the page's states, for the documentation and for a look at all of them.

python -m tests.e2e.screenshots                    what docs/screenshots/ holds
python -m tests.e2e.screenshots --all FOLDER       every state, three widths, light and dark
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.e2e.chat import answered, ask, ask_and_wait, box, online
from tests.e2e.conftest import QUIET
from tests.support.stack import Stack
from tests.support.upstream import Gate, Hold, Reasoning, Script, words

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"

Scheme = Literal["light", "dark"]
Scene = Callable[[Stack, Page], None]

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


def empty(_stack: Stack, page: Page) -> None:
    online(page)


def chat(stack: Stack, page: Page) -> None:
    stack.model.answer(QUESTION, Script([Reasoning("Two bulges, one explanation."), *words(REPLY)]))
    ask_and_wait(page, QUESTION)
    expect(page.locator(".katex")).to_be_visible()
    page.wait_for_load_state("networkidle")


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


def failure(stack: Stack, page: Page) -> None:
    stack.model.answer("Are you there?", Script.error(401, "no"))
    ask(page, "Are you there?")
    answered(page, 1)


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


def sidebar(stack: Stack, page: Page) -> None:
    for text in ("Three names for a grey cat", "Why the sky is blue"):
        ask_and_wait(page, text)
        page.keyboard.press("Control+Shift+o")
    if page.locator("#sidebar-open").is_visible():
        page.locator("#sidebar-open").click()


def shortcuts(_stack: Stack, page: Page) -> None:
    online(page)
    page.keyboard.press("Control+/")


SCENES: list[Scene] = [
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    parser.add_argument("--scenes", nargs="*", default=[scene.__name__ for scene in SCENES])
    options = parser.parse_args()
    looks: list[tuple[int, int, Scheme, str]] = [(1440, 900, "light", ""), (360, 740, "dark", "-phone")]
    if options.all:
        sizes = [(360, 740), (768, 1024), (1440, 900)]
        schemes: list[Scheme] = ["light", "dark"]
        looks = [(w, h, scheme, f"-{w}-{scheme}") for w, h in sizes for scheme in schemes]
    with (
        tempfile.TemporaryDirectory() as scratch,
        Stack(Path(scratch)) as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        for scene in SCENES:
            if scene.__name__ in options.scenes:
                for width, height, scheme, suffix in looks:
                    path = (options.all or FOLDER) / f"{scene.__name__}{suffix}.png"
                    take(stack, browser, scene, width, height, scheme, path)
        browser.close()


def take(stack: Stack, browser: Browser, scene: Scene, width: int, height: int, scheme: Scheme, path: Path) -> None:
    stack.repair()
    context = browser.new_context(
        viewport=ViewportSize(width=width, height=height),
        base_url=stack.webs[0].url,
        color_scheme=scheme,
        has_touch=width < 500,
        is_mobile=width < 500,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto("/")
    scene(stack, page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)  # for what moves, to arrive
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    main()
