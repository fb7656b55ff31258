"""Many files as one."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.web import bundle
from app.web.assets import SCRIPT, STYLES, Assets
from tests.support.processes import ROOT

SOURCES = {
    "js/main.js": """// Begins here.
import {
  double,
  twice as again,
} from './lib/number.js';
import * as words from './words/words.js';
import { count } from './lib/count.js';
import './lib/loud.js';
import { posix } from '../vendor/paths.js';
import whole from '../vendor/paths.js';

const name = 'import { double } is only said';
console.log(double(3), again(4), words.hello(), count(), name, posix.sep, whole.posix === posix);
import('./lib/later.js').then(({ later }) => console.log(later));
""",
    "js/lib/number.js": """import { count } from './count.js';

export const double = (value) => 2 * value;
export function twice(value) {
  count();
  return double(value);
}
const name = 'of this module only';
""",
    "js/lib/count.js": """let counted = 0;
export function count() {
  counted += 1;
  return counted;
}
console.log('once');
""",
    "js/lib/loud.js": "console.log('for what it does');\n",
    "js/lib/later.js": "export const later = 'when needed';\n",
    "js/words/words.js": """import { double } from '../lib/number.js';

export class Word {}
export async function wait() {}
const say = (name) => `hello ${name}, ${double(1)}`;
export const hello = () => say('you');
""",
    "vendor/paths.js": "export { posix } from 'node:path';\nexport { default } from 'node:path';\n",
}


def said_by(folder: Path, sources: Mapping[str, str], entry: str) -> str:
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    (folder / "package.json").write_text('{"type": "module"}')
    return subprocess.run(["node", folder / entry], check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_does_what_the_modules_do(tmp_path: Path) -> None:
    apart = said_by(tmp_path / "apart", SOURCES, "js/main.js")
    together = {name: source for name, source in SOURCES.items() if name in ("js/lib/later.js", "vendor/paths.js")}
    together["js/main.js"] = bundle.module("js/main.js", SOURCES)
    assert apart.startswith("once\n")
    assert apart.endswith("when needed\n")
    assert said_by(tmp_path / "together", together, "js/main.js") == apart


@pytest.mark.parametrize(
    "source",
    [
        "export default 1;\n",
        "const a = 1;\nexport { a };\n",
        "export * from './b.js';\n",
        "export const { a } = { a: 1 };\n",
        "import b, { c } from './b.js';\n",
        "import b from './b.js';\n",
        'import "./b.js";\n',
        "import { c } from './b.js'\n",
        "const here = import.meta.url;\n",
    ],
)
def test_what_it_does_not_understand_it_refuses(source: str) -> None:
    with pytest.raises(bundle.UnbundlableError):
        bundle.module("js/a.js", {"js/a.js": source, "js/b.js": "export const c = 1;\n"})


def test_a_style_sheet_has_what_it_imports_in_it() -> None:
    sources = {
        "css/page.css": "@import './a.css';\n@import './b.css';\n",
        "css/a.css": "a {\n}\n",
        "css/b.css": "b {\n}\n",
    }
    assert bundle.style_sheet("css/page.css", sources) == "a {\n}\nb {\n}\n"
    with pytest.raises(bundle.UnbundlableError):
        bundle.style_sheet("css/page.css", {**sources, "css/b.css": "@import './c.css';\n"})


def test_the_page_s_own_are_whole(tmp_path: Path) -> None:
    assets = Assets(ROOT / "static")
    styles, script = assets.find(STYLES), assets.find(SCRIPT)
    assert styles
    assert script
    assert b"@import" not in styles.content
    (tmp_path / "main.mjs").write_bytes(script.content)
    subprocess.run(["node", "--check", tmp_path / "main.mjs"], check=True, timeout=60)
