"""FastAPI as one begins with it: the web process itself streams the reply, as server-sent events."""

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

app = FastAPI()
model = AsyncOpenAI()


class Question(BaseModel):
    text: str


@app.post("/chat")
async def chat(question: Question) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        stream = await model.chat.completions.create(
            model="bench", messages=[{"role": "user", "content": question.text}], stream=True
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield f"data: {json.dumps({'text': text})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
