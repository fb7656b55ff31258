"""What the documents say can be done is done."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT, clean_environment
from tests.support.stack import Stack
from tests.support.upstream import Drop, Gate, Hold, Script, words


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("example_client", ROOT / "docs" / "examples" / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_for_curl(stack: Stack, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "http.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 5
    said = "echo; echo ----\n".join(blocks)
    environ = {**clean_environment(tmp_path), "URL": stack.webs[0].url}
    done = subprocess.run(
        ["sh", "-eu", "-c", said + 'echo "$TOKEN"'],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *_, asked, streamed, kept, completed = done.stdout.split("----\n")
    completion, token = completed.strip().splitlines()
    stack.secrets.add(token)
    reply = "You said: How are you?"
    assert json.loads(asked.strip())["text"] == reply
    assert "event: snapshot\n" in streamed
    assert "# By curl" in kept
    assert '"message_count":2' in kept
    assert json.loads((tmp_path / "conversation.json").read_text())["messages"][1]["text"] == reply
    assert json.loads(completion)["choices"][0]["message"]["content"] == reply


def test_the_client_in_python(stack: Stack, example: Any) -> None:
    parley = example.Parley.sign_in(stack.webs[0].url, "Ada")
    stack.secrets.add(parley.token)
    conversation = parley.new_conversation(title="By Python")
    question = stack.secret_text()
    assert parley.ask(conversation, question) == f"You said: {question}"
    text, gate = stack.secret_text(), Gate()
    reply = "It comes in pieces, 👋 and whole."
    stack.model.answer(text, Script([*words(reply)[:3], Hold(gate), *words(reply)[3:]]))
    pieces = []
    for piece in parley.stream(conversation, text):
        pieces.append(piece)
        gate.open()
    assert len(pieces) > 1
    assert "".join(pieces) == reply
    half = stack.secret_text()
    stack.model.answer(half, Script(["Half a ", Drop(reset=True)]))
    assert "".join(parley.stream(conversation, half)) == "Half a "
    with pytest.raises(example.ParleyError) as refused:
        parley.ask("0" * 26, "Hi")
    assert refused.value.error["code"] == "not_found"


def test_the_client_in_python_outlives_a_web_process(fragile: Stack, example: Any) -> None:
    parley = example.Parley.sign_in(fragile.webs[0].url, "Ada")
    fragile.secrets.add(parley.token)
    conversation = parley.new_conversation()
    text, gate = fragile.secret_text(), Gate()
    fragile.model.answer(text, Script(["One, ", Hold(gate), "two, ", "three."]))
    pieces = []
    for piece in parley.stream(conversation, text):
        pieces.append(piece)
        if "".join(pieces) == "One, " and not gate.is_set():
            fragile.webs[0].kill()
            gate.open()
            fragile.repair()
    assert "".join(pieces) == "One, two, three."
