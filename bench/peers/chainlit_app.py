"""Chainlit as its guide has it: one `stream_token` for each token."""

import chainlit
from openai import AsyncOpenAI

model = AsyncOpenAI()


@chainlit.on_message
async def answer(message: chainlit.Message) -> None:
    reply = chainlit.Message(content="")
    stream = await model.chat.completions.create(
        model="bench", messages=[{"role": "user", "content": message.content}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            await reply.stream_token(text)
    await reply.send()
