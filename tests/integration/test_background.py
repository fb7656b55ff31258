"""Titles and summaries, which a model is asked for beside the replies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import eventually
from tests.support.stack import Mode, Stack
from tests.support.upstream import Gate, Hold, Script

TITLE = "Write a title"
SUMMARY = "You keep the memory"


@pytest.fixture(scope="module")
def titled(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A window of two exchanges, with titles and summaries by models of their own."""
    folder: Path = tmp_path_factory.mktemp("titled")
    environ = {"TITLE_MODEL": "large", "SUMMARY_MODEL": "common", "MEMORY_MESSAGES": "4", "SYSTEM_PROMPT": "Be brief."}
    with Stack(folder, mode=mode, environ=environ) as stack:
        yield stack


def test_a_title_comes_after_the_first_reply_to_all_tabs(titled: Stack) -> None:
    session, text = titled.session(), titled.secret_text("tortoises")
    titled.model.answer_background(TITLE, text, Script(['Title: "Slow ', 'reptiles"\n\nas asked']))
    client, other = titled.client(session), titled.client(session)
    client.talk(text)
    conversation_id = client.received[0]["conversation_id"]
    client.wait_for(lambda: client.view(conversation_id).conversation.get("title") == "Slow reptiles", "the title")
    other.wait_for(lambda: any(hint["title"] == "Slow reptiles" for hint in other.activity), "the title in the list")
    [request] = titled.model.background_requests(TITLE, text)
    assert request.model == "large"
    client.talk(titled.secret_text(), conversation_id)
    assert len(titled.model.background_requests(TITLE, text)) == 1


def test_an_owners_own_title_is_never_overwritten(titled: Stack) -> None:
    client, text, gate = titled.client(), titled.secret_text("own"), Gate()
    titled.model.answer_background(TITLE, text, Script([Hold(gate), "Other"]))
    client.talk(text)
    conversation_id = client.received[0]["conversation_id"]
    gate.wait_reached()
    client.do("configure_conversation", conversation_id=conversation_id, title="Mine")
    gate.open()
    titled.model.upstream.wait_until(lambda: all(r.finished for r in titled.model.background_requests(TITLE, text)))
    client.talk(titled.secret_text(), conversation_id)
    assert titled.api(client.session).get(f"/api/conversations/{conversation_id}")["title"] == "Mine"


def test_a_title_that_fails_costs_nothing_but_the_title(titled: Stack) -> None:
    client, text = titled.client(), titled.secret_text("broken")
    titled.model.answer_background(TITLE, text, Script.error(401))
    assert client.talk(text)["status"] == "done"
    conversation_id = client.received[0]["conversation_id"]
    titled.model.upstream.wait_until(lambda: bool(titled.model.background_requests(TITLE, text)))
    assert titled.api(client.session).get(f"/api/conversations/{conversation_id}")["title"] == text
    counted = 'parley_upstream_errors_total{code="provider_auth",provider="chat"} 1.0'
    eventually(lambda: counted in titled.api()("GET", "/metrics").text, "it is counted")
    # The next reply asks again.
    titled.model.answer_background(TITLE, text, Script(["Mended"]))
    client.talk(text, conversation_id)
    client.wait_for(lambda: client.view(conversation_id).conversation.get("title") == "Mended", "the title")


def wait_summary(stack: Stack, about: str, count: int) -> None:
    stack.model.upstream.wait_until(
        lambda: len([r for r in stack.model.background_requests(SUMMARY, about) if r.finished]) >= count
    )


def test_what_falls_out_of_the_window_is_summed_up(titled: Stack) -> None:
    client = titled.client()
    texts = [titled.secret_text(f"number-{number}") for number in range(5)]
    titled.model.answer_background(SUMMARY, texts[0], Script(["They counted ", "to one."]))
    client.talk(texts[0])
    conversation_id = client.received[0]["conversation_id"]
    for text in texts[1:3]:
        client.talk(text, conversation_id)
    assert titled.model.background_requests(SUMMARY, texts[0]) == [], "two exchanges fit"
    client.talk(texts[3], conversation_id)
    wait_summary(titled, texts[0], 1)
    [request] = titled.model.background_requests(SUMMARY, texts[0])
    assert request.model == "common"
    assert texts[2] in request.last_user_text

    def sent(text: str) -> list[str]:
        return [message["content"] for message in titled.model.request(text).messages]

    assert sent(texts[3])[0] == "Be brief."
    assert texts[0] not in sent(texts[3])
    # It is in the ledger a moment after the model has said it.
    stored = lambda: titled.redis.client.keys(f"*:c:{conversation_id}:summaries")  # noqa: E731
    eventually(stored, "the summary is stored")
    client.talk(texts[4], conversation_id)
    system, summary, *rest = sent(texts[4])
    assert system == "Be brief."
    assert summary.endswith("They counted to one.")
    assert rest == [texts[3], f"You said: {texts[3]}", texts[4]], "half the window is left as it was said"


def test_a_summary_never_delays_a_reply(titled: Stack) -> None:
    client, gate = titled.client(), Gate()
    texts = [titled.secret_text(f"slow-{number}") for number in range(6)]
    titled.model.answer_background(SUMMARY, texts[0], Script([Hold(gate), "Too late."]))
    client.talk(texts[0])
    conversation_id = client.received[0]["conversation_id"]
    for text in texts[1:5]:
        assert client.talk(text, conversation_id)["status"] == "done"
    gate.wait_reached()
    assert client.talk(texts[5], conversation_id)["status"] == "done"
    assert len(titled.model.background_requests(SUMMARY, texts[0])) == 1, "one at a time"
    gate.open()


def test_neither_is_asked_for_when_off(stack: Stack) -> None:
    client, text = stack.client(), stack.secret_text("off")
    client.talk(text)
    client.talk(stack.secret_text(), client.received[0]["conversation_id"])
    assert stack.model.background_requests(TITLE, text) == []
