"""Socket.IO packets: orjson, and no input that could stall or kill a connection."""

from typing import Any

import orjson
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, EVENT, Packet

# A client cannot send an event of this name: what arrives as one was malformed.
MALFORMED = "\0malformed"
_NONE = object()


class Json:
    """The part of the `json` module that python-socketio and python-engineio use."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes) -> Any:
        return orjson.loads(text)


class SafePacket(Packet):
    """The protocol has no binary events, so a placeholder without its attachment cannot leave a connection waiting for
    ever; and an event that cannot be read becomes one named MALFORMED, which is answered like any other."""

    json = Json
    uses_binary_events = False
    packet_type: int
    data: Any

    def __init__(self, *args: Any, encoded_packet: Any = _NONE, **kwargs: Any) -> None:
        # (Engine.IO reads what looks like JSON: it may be null, or a number.)
        is_text = isinstance(encoded_packet, str) and encoded_packet != ""
        super().__init__(*args, encoded_packet=encoded_packet if is_text else None, **kwargs)
        if not is_text and encoded_packet is not _NONE:
            self._set_malformed()

    def decode(self, encoded_packet: str) -> int:
        try:
            super().decode(encoded_packet)
        except (ValueError, RecursionError):
            if self.packet_type not in {EVENT, BINARY_EVENT}:
                raise
            self._set_malformed()
        if self.packet_type == BINARY_EVENT:
            self._set_malformed()
        elif self.packet_type == BINARY_ACK:
            self.packet_type = ACK
        if self.packet_type == EVENT and not self._is_event():
            self._set_malformed()
        if self.packet_type == ACK and not isinstance(self.data, list):
            self.data = []
        if self.packet_type == CONNECT and not isinstance(self.data, dict):
            self.data = None
        return 0

    def _is_event(self) -> bool:
        return (
            isinstance(self.data, list)
            and len(self.data) > 0
            and isinstance(self.data[0], str)
            # The names by which python-socketio calls its own handlers are not for clients to use.
            and self.data[0] not in {"connect", "disconnect", "*"}
        )

    def _set_malformed(self) -> None:
        self.packet_type = EVENT
        self.data = [MALFORMED]
