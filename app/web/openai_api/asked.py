"""What is asked for in OpenAI's words, as turns of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.errors import Invalid
from app.ledger.models import Json
from app.web.payloads import Text

SAID_FIRST = "You began the conversation with these words:\n"


class Asked(BaseModel):
    """What says how the answer is to be found (sampling, effort, limits …) is taken and not heeded. What says what it
    is to be, or that more is to be done, is refused if it cannot be had.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    # Parameters and the values of theirs that ask for nothing.
    refused: ClassVar[dict[str, tuple[Any, ...]]] = {"tools": ([],), "tool_choice": ("none", "auto")}

    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    stream: bool | None = None

    def check(self) -> None:
        """Raises Invalid."""
        for name, harmless in self.refused.items():
            value = getattr(self, name, None)
            if value is not None and value not in harmless:
                raise Invalid(f"This value of {name} is not supported here.", field=name)


class Part(BaseModel):
    type: str
    text: Text = ""


# What is wrong with the first one is enough: to describe all could take seconds and hundreds of megabytes.
Parts = Annotated[list[Part], Field(fail_fast=True)]


class Said(BaseModel):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Parts

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        if unknown := {part.type for part in self.content} - {"text", "input_text", "output_text"}:
            raise Invalid(f"Only text can be sent, no {min(unknown)}.", field="content")
        return "".join(part.text for part in self.content)


Messages = Annotated[list[Said], Field(min_length=1, max_length=2_000, fail_fast=True)]


class StreamOptions(BaseModel):
    include_usage: bool = False


class AskedCompletion(Asked):
    refused = Asked.refused | {
        "n": (1,),
        "stop": ([], ""),
        "functions": ([],),
        "response_format": ({"type": "text"},),
        "logprobs": (False,),
        "modalities": (["text"],),
        "audio": (),
    }

    messages: Messages
    stream_options: StreamOptions | None = None


class AskedResponse(Asked):
    refused = Asked.refused | {
        "conversation": (),
        "prompt": (),
        "top_logprobs": (0,),
    }

    input: Text | Messages
    instructions: Text | None = None
    previous_response_id: str | None = None
    background: bool | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _without_reasoning(cls, value: Any) -> Any:
        """Clients that keep the conversation themselves send back all that they were given."""
        if not isinstance(value, list):
            return value
        return [item for item in value if not (isinstance(item, dict) and item.get("type") == "reasoning")]

    def check(self) -> None:
        super().check()
        text = getattr(self, "text", None)
        if isinstance(text, dict) and text.get("format") not in (None, {"type": "text"}):
            raise Invalid("Only text.format “text” is supported here.", field="text.format")

    @property
    def messages(self) -> list[Said]:
        return [Said(role="user", content=self.input)] if isinstance(self.input, str) else self.input


@dataclass(frozen=True, slots=True)
class Talk:
    """A system prompt, what was said before, and the question. Messages of one side that follow each other are one."""

    system_prompt: str
    before: list[tuple[str, str]]
    question: str


def talk_of(messages: Sequence[Said], instructions: str = "") -> Talk:
    """Raises Invalid."""
    system = [instructions] if instructions else []
    turns: list[tuple[str, list[str]]] = []
    for said in messages:
        if said.role in {"system", "developer"}:
            system.append(said.text)
        elif said.role == "assistant" and not turns:
            system.append(SAID_FIRST + said.text)
        elif turns and turns[-1][0] == said.role:
            turns[-1][1].append(said.text)
        else:
            turns.append((said.role, [said.text]))
    if not turns or turns[-1][0] != "user":
        raise Invalid("The last message must be the user's.", field="messages")
    *before, (_, question) = [(role, "\n\n".join(texts)) for role, texts in turns]
    return Talk("\n\n".join(system), before, question)


def as_messages(before: Sequence[tuple[str, str]], at: str) -> list[Json]:
    """For Chat.restore."""
    return [
        {
            "id": str(number),
            "parent_id": str(number - 1) if number else None,
            "role": role,
            "text": text,
            "created_at": at,
            "status": "done",
        }
        for number, (role, text) in enumerate(before)
    ]
