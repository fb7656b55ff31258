"""What a model is sent."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ledger.models import Json
from app.memory.window import SUMMARY_HEAD, Sent, Window, cost, estimate_tokens
from app.providers.base import ChatMessage


def talk(*texts: str) -> list[Json]:
    """Question, reply, question, reply …"""
    messages = []
    for number, text in enumerate(texts):
        role = "assistant" if number % 2 else "user"
        messages.append({"id": f"m{number}", "parent_id": f"m{number - 1}", "role": role, "text": text})
    return messages


def texts(sent: Sent) -> list[str]:
    return [message.text for message in sent.messages]


ROOMY = Window(100, 100_000)


def test_all_that_fits_in_order() -> None:
    assert ROOMY.build("Be brief.", "", talk("q0", "a0", "q1", "a1"), "q2").messages == [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "q0"),
        ChatMessage("assistant", "a0"),
        ChatMessage("user", "q1"),
        ChatMessage("assistant", "a1"),
        ChatMessage("user", "q2"),
    ]


def test_no_system_prompt() -> None:
    assert ROOMY.build("", "", [], "q").messages == [ChatMessage("user", "q")]


@pytest.mark.parametrize(
    ("limit", "kept"),
    [(0, []), (1, []), (2, ["q2", "a2"]), (3, ["q2", "a2"]), (4, ["q1", "a1", "q2", "a2"]), (6, None), (7, None)],
)
def test_so_many_messages_in_whole_exchanges(limit: int, kept: list[str] | None) -> None:
    history = talk("q0", "a0", "q1", "a1", "q2", "a2")
    expected = [message["text"] for message in history] if kept is None else kept
    assert texts(Window(limit, 100_000).build("", "", history, "q")) == [*expected, "q"]


def test_so_many_tokens() -> None:
    history = talk("q" * 40, "a" * 40, "Q" * 40, "A" * 40)  # 14 tokens each
    newest = [message["text"] for message in history[2:]]
    assert cost(ChatMessage("user", "q" * 40)) == 14
    question = cost(ChatMessage("user", "q"))
    assert texts(Window(100, question + 56).build("", "", history, "q")) == [*(m["text"] for m in history), "q"]
    assert texts(Window(100, question + 55).build("", "", history, "q")) == [*newest, "q"]
    assert texts(Window(100, question + 28).build("", "", history, "q")) == [*newest, "q"]
    assert texts(Window(100, question + 27).build("", "", history, "q")) == ["q"]


def test_no_older_exchange_in_place_of_a_newer_that_does_not_fit() -> None:
    history = talk("q0", "a0", "q" * 4000, "a1")
    assert texts(Window(100, 100).build("", "", history, "q")) == ["q"]


def test_system_prompt_and_question_always() -> None:
    assert texts(Window(0, 1).build("s" * 1000, "", talk("q0", "a0"), "q" * 1000)) == ["s" * 1000, "q" * 1000]


def test_the_system_prompt_takes_its_share() -> None:
    history = talk("q0", "a0")
    need = sum(cost(ChatMessage("user", text)) for text in ("s" * 400, "q0", "a0", "q"))
    assert len(Window(10, need).build("s" * 400, "", history, "q").messages) == 4
    assert len(Window(10, need - 1).build("s" * 400, "", history, "q").messages) == 2


def test_a_summary_that_does_not_fit_takes_nobody_elses_place() -> None:
    history, summary = talk("q0", "a0"), "s" * 400
    need = sum(cost(ChatMessage("user", text)) for text in (SUMMARY_HEAD + summary, "p", "q"))
    assert texts(Window(10, need).build("p", summary, history, "q")) == ["p", SUMMARY_HEAD + summary, "q"]
    assert texts(Window(10, need - 1).build("p", summary, history, "q")) == ["p", "q0", "a0", "q"]


def test_exchanges_without_a_reply_are_left_out() -> None:
    history = talk("q0", "a0", "q1", "", "q2", "a2")
    assert texts(ROOMY.build("", "", history, "q")) == ["q0", "a0", "q2", "a2", "q"]
    assert texts(Window(4, 1000).build("", "", history, "q")) == ["q0", "a0", "q2", "a2", "q"]


def test_a_reply_whose_question_was_cut_off_is_left_out() -> None:
    assert texts(ROOMY.build("", "", talk("q0", "a0", "q1", "a1")[1:], "q")) == ["q1", "a1", "q"]


@given(
    st.lists(st.text(max_size=30), max_size=12),
    st.integers(0, 12),
    st.integers(1, 120),
    st.text(max_size=20),
    st.text(min_size=1, max_size=20),
)
def test_within_both_limits_whatever_comes(
    history: list[str], messages: int, tokens: int, prompt: str, question: str
) -> None:
    built = Window(messages, tokens).build(prompt, "", talk(*history), question).messages
    assert built[-1] == ChatMessage("user", question)
    assert (built[0].role == "system") == bool(prompt)
    middle = built[bool(prompt) : -1]
    assert len(middle) <= messages
    assert [message.role for message in middle] == ["user", "assistant"] * (len(middle) // 2)
    assert middle == [] or sum(map(cost, built)) <= tokens


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("über", 2), ("日本語", 3), ("🐢" * 5, 5)]
)
def test_the_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_more_text_costs_no_less(one: str, other: str) -> None:
    assert estimate_tokens(one + other) >= max(estimate_tokens(one), estimate_tokens(other))


@pytest.mark.parametrize("letter", ["a", '"', "\n", "\\", "é", "語", "🐢"])
def test_the_bytes_read_are_enough_for_the_tokens_sent(letter: str) -> None:
    """A history that fits by tokens and messages must not have been cut off by its size in the ledger."""
    window = Window(2, 2000)
    text = letter
    while estimate_tokens(text + letter) + 4 <= 900:
        text += letter
    frame = 400
    assert 2 * (len(orjson.dumps(text)) + frame) <= window.max_bytes
