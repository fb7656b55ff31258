"""Flask-SocketIO and Celery as their manuals have it, the web tier: messages become tasks, rooms are the library's."""

import os
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO, join_room
from stock_worker import reply

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["REDIS_URL"], async_mode="gevent")


@socketio.on("send_message")
def send_message(data: dict[str, Any]) -> dict[str, Any]:
    reply.delay(request.sid, data["text"])
    return {"ok": True}


@socketio.on("join")
def join(room: str) -> dict[str, Any]:
    join_room(room)
    return {"ok": True}
