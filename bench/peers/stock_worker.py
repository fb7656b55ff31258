"""Flask-SocketIO and Celery as their manuals have it, the worker: one emit for each token, through Redis."""

import os

from celery import Celery
from flask_socketio import SocketIO
from openai import OpenAI
from redis import Redis

redis_url = os.environ["REDIS_URL"]
celery = Celery("stock", broker=redis_url)
celery.conf.task_ignore_result = True
socketio = SocketIO(message_queue=redis_url)
redis: "Redis" = Redis.from_url(redis_url, decode_responses=True)
model = OpenAI()


@celery.task
def reply(room: str, text: str) -> None:
    history = f"history:{room}"
    redis.rpush(history, text)
    messages = [{"role": "user", "content": message} for message in redis.lrange(history, -20, -1)]
    said = ""
    for chunk in model.chat.completions.create(model="bench", messages=messages, stream=True):
        if chunk.choices and (token := chunk.choices[0].delta.content):
            said += token
            socketio.emit("token", {"text": token}, to=room)
    redis.rpush(history, said)
    socketio.emit("done", {"text": said}, to=room)
