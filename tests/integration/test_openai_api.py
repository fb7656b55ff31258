"""OpenAI's own SDK as a client of ours."""

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI

from tests.support.http_client import Session
from tests.support.stack import Stack
from tests.support.upstream import Drop, Gate, Hold, Reasoning, Script, words

TERMINAL = {"response.completed", "response.failed", "response.incomplete"}


def sdk(stack: Stack, session: Session, web: int = 0) -> OpenAI:
    return OpenAI(base_url=f"{stack.webs[web].url}/v1", api_key=session.token, max_retries=0, timeout=60)


@pytest.fixture
def session(stack: Stack) -> Session:
    return stack.session()


def deltas(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


# --- chat/completions -------------------------------------------------------------------------------------------------


def test_a_completion(stack: Stack, session: Session) -> None:
    question, before, said = (stack.secret_text() for _ in range(3))
    stack.model.answer(question, Script(["Fine, ", "thanks"], usage=(3, 4)))
    answer = sdk(stack, session).chat.completions.create(
        model="large",
        temperature=0.5,
        messages=[
            {"role": "system", "content": "Be polite."},
            {"role": "user", "content": before},
            {"role": "assistant", "content": said},
            {"role": "user", "content": [{"type": "text", "text": question}]},
        ],
    )
    assert answer.choices[0].message.content == "Fine, thanks"
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "large")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 4, 7)
    asked = stack.model.request(question)
    assert asked.model == "large"
    assert [(one["role"], one["content"]) for one in asked.messages] == [
        ("system", "Be polite."),
        ("user", before),
        ("assistant", said),
        ("user", question),
    ]
    # It is a conversation like any other.
    [conversation] = stack.api(session).get("/api/conversations")["conversations"]
    texts = [message["text"] for message in stack.api(session).messages(conversation["id"])]
    assert texts == [before, said, question, "Fine, thanks"]


def test_a_streamed_completion(stack: Stack, session: Session) -> None:
    question, gate = stack.secret_text(), Gate()
    stack.model.answer(question, Script(["One ", Hold(gate), "“two” ", "👋"], usage=(3, 4)))
    stream = sdk(stack, session).chat.completions.create(
        model="chat/small",
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [next(stream)]
    assert chunks[0].choices[0].delta.content == "One "  # it streams
    gate.open()
    chunks += list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "One “two” 👋"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7


def test_a_completion_with_its_reasoning(stack: Stack, session: Session) -> None:
    client, question = sdk(stack, session), stack.secret_text()
    thoughtful = Script([Reasoning("Let me "), Reasoning("see."), "Yes", "."])
    stack.model.answer(question, thoughtful, thoughtful)
    messages: Any = [{"role": "user", "content": question}]
    message: Any = client.chat.completions.create(model="small", messages=messages).choices[0].message
    assert (message.reasoning_content, message.content) == ("Let me see.", "Yes.")
    streamed: list[Any] = [
        chunk.choices[0].delta
        for chunk in client.chat.completions.create(model="small", messages=messages, stream=True)
    ]
    assert [delta.role for delta in streamed if delta.role] == ["assistant"]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in streamed) == "Let me see."
    assert "".join(delta.content or "" for delta in streamed) == "Yes."


@pytest.mark.parametrize(("reason", "detail"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("model", ["small", "thinker"])  # chat's and responses' words for it
def test_a_reply_that_its_provider_cut_off(
    stack: Stack, session: Session, model: str, reason: Literal["length", "content_filter"], detail: str
) -> None:
    client, question = sdk(stack, session), stack.secret_text()
    stack.model.answer(question, *[Script(["Once upon"], finish=reason)] * 4)
    messages: Any = [{"role": "user", "content": question}]
    answer = client.chat.completions.create(model=model, messages=messages)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Once upon", reason)
    chunks = list(client.chat.completions.create(model=model, messages=messages, stream=True))
    assert chunks[-1].choices[0].finish_reason == reason
    events = list(client.responses.create(model=model, input=question, stream=True))
    assert events[-1].type == "response.incomplete"
    for response in (client.responses.create(model=model, input=question), events[-1].response):
        assert (response.status, response.output_text) == ("incomplete", "Once upon")
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == detail
    # Whoever reads the conversation is told as well, also after it was taken elsewhere.
    api = stack.api(session)
    conversation_id = api.get("/api/conversations")["conversations"][0]["id"]
    file = api.get(f"/api/conversations/{conversation_id}/export")
    imported = api("POST", "/api/conversations/import", json=file).json()["id"]
    for saved in (api.messages(conversation_id)[-1], api.messages(imported)[-1]):
        assert (saved["status"], saved["finish_reason"]) == ("done", reason)


def test_what_cannot_be_had(stack: Stack) -> None:
    client = sdk(stack, stack.session())
    user: Any = [{"role": "user", "content": "Hi"}]
    for asked in (
        {"model": "unheard-of", "messages": user},
        {"model": "small", "messages": []},
        {"model": "small", "messages": [{"role": "assistant", "content": "Hi"}]},
        {"model": "small", "messages": [{"role": "tool", "content": "Hi"}]},
        {"model": "small", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"model": "small", "messages": user, "n": 2},
        {"model": "small", "messages": user, "stop": ["\n"]},
        {"model": "small", "messages": user, "response_format": {"type": "json_object"}},
        {"model": "small", "messages": user, "logprobs": True},
        {"model": "small", "messages": user, "tools": [{"type": "function", "function": {"name": "f"}}]},
        {"model": "small", "messages": [{"role": "user", "content": " "}]},
    ):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**asked)
    for asked in (
        {"input": []},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        {"input": "Hi", "text": {"format": {"type": "json_object"}}},
        {"input": "Hi", "conversation": "conv_1"},
    ):
        with pytest.raises(openai.BadRequestError):
            client.responses.create(model="small", **asked)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_nothing")
    with pytest.raises(openai.NotFoundError):
        client.responses.create(input="Hi", previous_response_id="resp_nothing")
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=str(client.base_url), api_key="x", max_retries=0).models.list()
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="none", messages=user)  # its provider is dead
    listed = {model.id for model in client.models.list()}
    assert listed >= {"small", "chat/small", "responses/thinker"}
    assert {client.models.retrieve(name).id for name in listed} == listed
    for name in listed - {"none", "dead/none"}:
        answer = client.chat.completions.create(model=name, messages=user)
        assert f"/{name}".endswith(f"/{answer.model}")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("unheard-of")


def test_an_error_names_what_its_interface_calls_it(stack: Stack) -> None:
    client = sdk(stack, stack.session())
    with pytest.raises(openai.BadRequestError) as of_completion:
        client.chat.completions.create(model="small", messages=[{"role": "user", "content": " "}])
    with pytest.raises(openai.BadRequestError) as of_response:
        client.responses.create(model="small", input=" ")
    assert (of_completion.value.param, of_response.value.param) == ("messages", "input")


def test_what_changes_nothing_is_taken(stack: Stack) -> None:
    client, question = sdk(stack, stack.session()), stack.secret_text()
    answer = client.chat.completions.create(
        model="small",
        messages=[{"role": "user", "content": question}],
        n=1,
        max_tokens=5,
        temperature=0,
        top_p=0.1,
        seed=1,
        stop=[],
        tools=[],
        response_format={"type": "text"},
        user="me",
        extra_body={"min_p": 0.1},
    )
    assert answer.choices[0].message.content == f"You said: {question}"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", b"", 404),
        ("POST", "/v1/completions", b"{}", 404),
        ("DELETE", "/v1/chat/completions", b"", 405),
        ("POST", "/v1/chat/completions", b"", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"messages": [{"role": "user", "content": "' + b"x" * 2_000_000, 413),
        ("POST", "/v1/responses", b'{"input": "\\ud800"}', 400),
        ("POST", "/v1/chat/completions", b'{"messages": [{"role": "user", "content": null}]}', 400),
        ("GET", "/v1/responses/resp_nothing?stream=true", b"", 404),
    ],
)
def test_every_error_is_in_openais_words(stack: Stack, method: str, path: str, body: bytes, status: int) -> None:
    answer = stack.api(stack.session())(method, path, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert "function" not in error["message"], "nobody knows our types"


def test_while_redis_is_away_the_error_is_in_openais_words(fragile: Stack) -> None:
    client = sdk(fragile, fragile.session())
    fragile.redis.kill()
    with pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="small", messages=[{"role": "user", "content": "Hi"}])
    assert raised.value.status_code == 503
    assert raised.value.code == "unavailable"
    assert raised.value.response.headers["Retry-After"] == "1"


def test_the_same_key_asks_once(stack: Stack) -> None:
    client, question = sdk(stack, stack.session()), stack.secret_text()
    headers = {"Idempotency-Key": "only once"}
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
    for _ in range(2):
        answer = client.chat.completions.create(model="small", messages=messages, extra_headers=headers)
        assert answer.choices[0].message.content == f"You said: {question}"
    assert len(stack.model.requests(question)) == 1


def test_a_key_whose_question_was_refused_has_left_nothing(stack: Stack) -> None:
    session = stack.session()
    client, question = sdk(stack, session), stack.secret_text()
    headers = {"Idempotency-Key": "at first too long"}
    before: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}]
    for refused in ("x" * 40_000, " "):
        messages: Any = [*before, {"role": "assistant", "content": "b"}, {"role": "user", "content": refused}]
        with pytest.raises(openai.APIStatusError):
            client.chat.completions.create(model="small", messages=messages, extra_headers=headers)
    assert stack.api(session).get("/api/conversations")["conversations"] == []
    client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": question}], extra_headers=headers
    )
    assert [one["role"] for one in stack.model.request(question).messages] == ["system", "user"]
    assert stack.model.request(question).messages[0]["content"] != "Be brief."


def test_a_web_process_that_ends_cuts_no_completion_short_unsaid(fragile: Stack) -> None:
    """Nor has it asked for anew: the turn goes on."""
    session, gate = fragile.session(), Gate()
    streamed, whole = fragile.secret_text(), fragile.secret_text()
    for text in (streamed, whole):
        fragile.model.answer(text, Script(["Do ", "not ", Hold(gate), "worry."]))
    client = sdk(fragile, session, web=1)
    with ThreadPoolExecutor(1) as pool:
        patient = client.with_options(max_retries=2).chat.completions
        waiting = pool.submit(
            lambda: patient.create(model="small", messages=[{"role": "user", "content": whole}]),
        )
        stream = client.chat.completions.create(
            model="small", messages=[{"role": "user", "content": streamed}], stream=True
        )
        gate.wait_reached(2)
        said = next(iter(stream)).choices[0].delta.content
        fragile.webs[1].signal(signal.SIGTERM)
        with pytest.raises(openai.APIError) as cut:
            for _ in stream:
                pass
        with pytest.raises(openai.InternalServerError) as unanswered:
            waiting.result()
        assert fragile.webs[1].wait(60) == 0
    gate.open()
    assert said
    assert "ended before" in cut.value.message
    assert unanswered.value.response.headers["X-Should-Retry"] == "false"
    for text in (streamed, whole):
        assert len(fragile.model.requests(text)) == 1


# --- responses --------------------------------------------------------------------------------------------------------


def test_a_response_and_the_next(stack: Stack, session: Session) -> None:
    client = sdk(stack, session)
    first_text, second_text = stack.secret_text(), stack.secret_text()
    first = client.responses.create(model="large", instructions="Be kind.", input=first_text)
    assert (first.status, first.output_text) == ("completed", f"You said: {first_text}")
    assert client.responses.retrieve(first.id).output_text == first.output_text
    second = client.responses.create(model="large", input=second_text, previous_response_id=first.id)
    assert second.previous_response_id == first.id
    sent = [one["content"] for one in stack.model.request(second_text).messages]
    assert sent == ["Be kind.", first_text, first.output_text, second_text]
    # From the first again: another branch.
    third_text = stack.secret_text()
    client.responses.create(model="large", input=third_text, previous_response_id=first.id)
    assert [one["content"] for one in stack.model.request(third_text).messages][1:] == [*sent[1:3], third_text]


def test_what_goes_on_from_a_response_to_come_goes_on_from_that_one(stack: Stack, session: Session) -> None:
    client, gate = sdk(stack, session), Gate()
    texts = [stack.secret_text() for _ in range(3)]
    stack.model.answer(texts[0], Script([Hold(gate), "A."]))
    first = client.responses.create(model="large", input=texts[0], background=True)
    following = [
        client.responses.create(model="large", input=text, previous_response_id=first.id, background=True)
        for text in texts[1:]
    ]
    gate.open()
    for response, text in zip(following, texts[1:], strict=True):
        with client.responses.retrieve(response.id, stream=True) as stream:
            assert list(stream)[-1].type == "response.completed"
        sent = [one["content"] for one in stack.model.request(text).messages]
        assert sent[1:] == [texts[0], "A.", text]


def test_a_response_that_was_cleared_is_gone(stack: Stack, session: Session) -> None:
    client = sdk(stack, session)
    response = client.responses.create(model="large", input=stack.secret_text())
    api = stack.api(session)
    [conversation] = api.get("/api/conversations")["conversations"]
    assert api("POST", f"/api/conversations/{conversation['id']}/clear").ok
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="large", input="And?", previous_response_id=response.id)


def test_instructions_on_the_way_are_for_that_answer_and_come_with_it_or_not_at_all(
    stack: Stack, session: Session
) -> None:
    client = sdk(stack, session)
    texts = [stack.secret_text() for _ in range(3)]
    response = client.responses.create(model="large", instructions="Be kind.", input=texts[0])
    with pytest.raises(openai.BadRequestError):
        client.responses.create(
            model="unheard-of", instructions="Be rude.", input="Hi", previous_response_id=response.id
        )
    for text, instructions in ((texts[1], "Be brief."), (texts[2], openai.omit)):
        response = client.responses.create(
            model="large", instructions=instructions, input=text, previous_response_id=response.id
        )
    first = [stack.model.request(text).messages[0]["content"] for text in texts]
    assert first == ["Be kind.", "Be brief.", "Be kind."]
    [conversation] = stack.api(session).get("/api/conversations")["conversations"]
    assert conversation["system_prompt"] == "Be kind."
    saved = stack.api(session).messages(conversation["id"])
    assert [message["system_prompt"] for message in saved if message["role"] == "assistant"] == first


def test_a_streamed_response(stack: Stack, session: Session) -> None:
    text = stack.secret_text()
    reply = stack.secret_text("Fine — “thanks” 👋\n\n")
    stack.model.answer(text, Script(words(reply), usage=(3, 4)))
    with sdk(stack, session).responses.stream(model="small", input=text) as stream:
        events: list[Any] = list(stream)
        final = stream.get_final_response()
    assert (final.output_text, final.status) == (reply, "completed")
    assert final.usage is not None
    assert final.usage.total_tokens == 7
    assert deltas(events) == reply
    kinds = [event.type for event in events if event.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


def test_in_the_background_and_taken_up_at_the_exact_place(stack: Stack, session: Session) -> None:
    text, gate = stack.secret_text(), Gate()
    reply = stack.secret_text("It goes on, “come what may” 👋, while nobody listens.")
    tokens = words(reply)
    stack.model.answer(text, Script([*tokens[:4], Hold(gate), *tokens[4:]]))
    first: list[Any] = []
    with sdk(stack, session).responses.create(model="small", input=text, background=True, stream=True) as stream:
        for event in stream:
            first.append(event)
            if deltas(first) == "".join(tokens[:4]):
                break
    response_id, last = first[0].response.id, first[-1].sequence_number
    other = sdk(stack, session, web=1)
    assert other.responses.retrieve(response_id).status == "in_progress"
    with other.responses.retrieve(response_id, stream=True, starting_after=last) as stream:
        gate.open()
        second: list[Any] = list(stream)
    assert deltas(first) + deltas(second) == reply
    assert second[0].sequence_number > last
    assert second[-1].type == "response.completed"
    assert second[-1].response.output_text == reply
    # Now the pieces are gone, and each place is still where it was.
    numbers = [event.sequence_number for event in first + second]
    assert numbers == sorted(set(numbers))
    for seen in (first, first[:-1], [*first, *second[:1]], first[:1], []):
        after = seen[-1].sequence_number if seen else -1
        again: list[Any] = list(other.responses.retrieve(response_id, stream=True, starting_after=after))
        assert deltas(seen) + deltas(again) == reply
        assert all(event.sequence_number > after for event in again)
        assert (again[-1].type, again[-1].sequence_number) == ("response.completed", numbers[-1])
    assert list(other.responses.retrieve(response_id, stream=True, starting_after=numbers[-1])) == []
    assert len(stack.model.requests(text)) == 1


def test_reasoning_in_the_background_taken_up_at_the_exact_place(stack: Stack, session: Session) -> None:
    text, gates = stack.secret_text(), [Gate(), Gate()]

    stack.model.answer(
        text,
        Script([Reasoning("Let me "), Hold(gates[0]), Reasoning("see."), "Yes", Hold(gates[1]), ", I think."]),
    )
    client = sdk(stack, session)
    told: list[Any] = []
    with client.responses.create(model="small", input=text, background=True, stream=True) as stream:
        for event in stream:
            told.append(event)
            if event.type == "response.reasoning_text.delta":
                break
    response_id = told[0].response.id
    gates[0].open()
    with client.responses.retrieve(response_id, stream=True, starting_after=told[-1].sequence_number) as stream:
        for event in stream:
            told.append(event)
            if deltas(told) == "Yes":
                break
    gates[1].open()
    told += client.responses.retrieve(response_id, stream=True, starting_after=told[-1].sequence_number)
    assert "".join(event.delta for event in told if event.type == "response.reasoning_text.delta") == "Let me see."
    assert deltas(told) == "Yes, I think."
    numbers = [event.sequence_number for event in told]
    assert numbers == sorted(set(numbers))
    assert [(event.item.type, event.output_index) for event in told if event.type == "response.output_item.done"] == [
        ("reasoning", 0),
        ("message", 1),
    ]
    thought, message = told[-1].response.output
    assert ([part.text for part in thought.content], message.content[0].text) == (["Let me see."], "Yes, I think.")
    assert client.responses.retrieve(response_id).output == [thought, message]
    # It may be sent back, and is not sent on.
    following = stack.secret_text()
    kept: Any = [{"role": "user", "content": text}, *told[-1].response.output, {"role": "user", "content": following}]
    assert client.responses.create(model="small", input=kept).output_text == f"You said: {following}"
    assert [one["content"] for one in stack.model.request(following).messages[1:]] == [
        text,
        "Yes, I think.",
        following,
    ]
    # The SDK's own helper makes the same of it, from the beginning.
    with client.responses.stream(response_id=response_id) as replayed:
        assert replayed.get_final_response().output_text == "Yes, I think."


def test_reasoning_that_another_worker_begins_anew(fragile: Stack) -> None:
    session, text, gate = fragile.session(), fragile.secret_text(), Gate()
    fragile.model.answer(text, Script([Reasoning("Hm"), Hold(gate)]), Script([Reasoning("Let me see."), "Yes."]))
    told: list[Any] = []
    # A web process whose Redis was just away refuses streams until it hears the message queue again.
    client = sdk(fragile, session).with_options(max_retries=5)
    with client.responses.create(model="small", input=text, background=True, stream=True) as stream:
        for event in stream:
            told.append(event)
            if event.type == "response.reasoning_text.delta" and event.delta == "Hm":
                fragile.workers[0].kill()
                fragile.repair()
    gate.open()
    assert (told[-1].response.status, told[-1].response.output_text) == ("completed", "Yes.")
    added = [(event.item.type, event.output_index) for event in told if event.type == "response.output_item.added"]
    assert added == [("reasoning", 0), ("message", 1), ("reasoning", 2), ("message", 3)]
    ended = [(event.item.status, event.output_index) for event in told if event.type == "response.output_item.done"]
    assert ended == [("incomplete", 0), ("incomplete", 1), ("completed", 2), ("completed", 3)]
    numbers = [event.sequence_number for event in told]
    assert numbers == sorted(set(numbers))


def test_cancelled(stack: Stack, session: Session) -> None:
    client, text, gate = sdk(stack, session), stack.secret_text(), Gate()
    stack.model.answer(text, Script(["So ", "far ", Hold(gate), "no further"]))
    started = client.responses.create(model="small", input=text, background=True)
    assert started.status in {"queued", "in_progress"}
    with client.responses.retrieve(started.id, stream=True) as stream:
        events: list[Any] = []
        for event in stream:
            events.append(event)
            if deltas(events) == "So far ":
                cancelled = sdk(stack, session, web=1).responses.cancel(started.id)
                assert (cancelled.status, cancelled.output_text) == ("cancelled", "So far ")
    assert events[-1].type == "response.incomplete"
    assert events[-1].response.status == "cancelled"
    assert client.responses.cancel(started.id) == client.responses.retrieve(started.id) == cancelled
    gate.open()


def test_a_response_that_fails(stack: Stack) -> None:
    client, text = sdk(stack, stack.session()), stack.secret_text()
    stack.model.answer(text, Script(["Half a ", Drop(reset=True)]))
    events: list[Any] = list(client.responses.create(model="small", input=text, stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.output_text == deltas(events) == "Half a "
    assert events[-1].response.error.message


def test_of_others(stack: Stack) -> None:
    mine = sdk(stack, stack.session()).responses.create(model="small", input=stack.secret_text())
    other = sdk(stack, stack.session())
    for attempt in (
        lambda: other.responses.retrieve(mine.id),
        lambda: other.responses.retrieve(mine.id, stream=True),
        lambda: other.responses.cancel(mine.id),
        lambda: other.responses.create(model="small", input="Hi", previous_response_id=mine.id),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()


def test_a_worker_is_killed_in_between(fragile: Stack) -> None:
    session, text, gate = fragile.session(), fragile.secret_text(), Gate()
    fragile.model.answer(text, Script(["Never ", "to end ", Hold(gate)]), Script(["Another ", "beginning."]))
    client = sdk(fragile, session)
    events: list[Any] = []
    killed = False
    with client.responses.create(model="small", input=text, background=True, stream=True) as stream:
        for event in stream:
            events.append(event)
            if not killed and deltas(events) == "Never to end ":
                killed = True
                fragile.workers[0].kill()
                fragile.repair()
    final = events[-1].response
    assert (final.status, final.output_text) == ("completed", "Another beginning.")
    # What was superseded is an item of its own.
    by_item: dict[int, str] = {}
    for event in events:
        if event.type == "response.output_text.delta":
            by_item[event.output_index] = by_item.get(event.output_index, "") + event.delta
    assert by_item == {0: "Never to end ", 1: "Another beginning."}
    ended = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.status for item in ended] == ["incomplete", "completed"]
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    # Whoever broke off in the first attempt is told the same.
    place = next(i for i, event in enumerate(events) if event.type == "response.output_text.delta")
    rest: list[Any] = list(client.responses.retrieve(final.id, stream=True, starting_after=numbers[place]))
    assert deltas(rest) == "Another beginning."
    assert [event.item.status for event in rest if event.type == "response.output_item.done"] == [
        "incomplete",
        "completed",
    ]
    gate.open()
