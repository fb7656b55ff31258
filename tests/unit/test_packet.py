"""Socket.IO packets from clients that mean no good."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import ACK, CONNECT, DISCONNECT, EVENT

from app.delivery.packet import MALFORMED, Json, SafePacket


def decoded(frame: object) -> SafePacket:
    packet = SafePacket(encoded_packet=frame)
    assert packet.attachment_count == 0, "it would wait for attachments"
    return packet


def test_an_event() -> None:
    packet = decoded('2/chat,17["send",{"text":"żółw 🐢"}]')
    assert (packet.packet_type, packet.namespace, packet.id) == (EVENT, "/chat", 17)
    assert packet.data == ["send", {"text": "żółw 🐢"}]


@pytest.mark.parametrize("data", [["e", {"a": [1, 2.5, None, True, 'q"\\\u2028🐢\0']}], ["e"], None])
@pytest.mark.parametrize("namespace", ["/", "/other"])
@pytest.mark.parametrize("number", [None, 0, 12])
def test_there_and_back(data: object, namespace: str, number: int | None) -> None:
    kind = EVENT if data else DISCONNECT
    packet = decoded(SafePacket(kind, data, namespace, number).encode())
    assert (packet.packet_type, packet.data, packet.id) == (kind, data, number)
    assert (packet.namespace or "/") == namespace


@pytest.mark.parametrize(
    "frame",
    [
        "2",
        "2[",
        "2]",
        "2{}",
        '2{"send":1}',
        "2[]",
        '2"send"',
        "2null",
        "2[1]",
        "2[null]",
        '2[["send"]]',
        "2[" * 1000,
        "2" + "[" * 100_000,
        '2["send",{"text":"\\ud800"}]',
        '2["send",NaN]',
        '2["send",{]',
        "2" + "1" * 200 + '["send"]',
        "2\u0661[",
        "2\u00b2",
        '2["connect"]',
        '2["disconnect","x"]',
        '51-["send",{"_placeholder":true,"num":0}]',
        '50-["send"]',
        '59999999999999-["send"]',
        "5",
        "51-",
        '5["send"]',
    ],
)
def test_a_malformed_event_is_an_event(frame: str) -> None:
    packet = decoded(frame)
    assert (packet.packet_type, packet.data) == (EVENT, [MALFORMED])


def test_a_malformed_event_can_be_answered() -> None:
    assert decoded('2/chat,17["connect"]').id == 17


@pytest.mark.parametrize("frame", ["", b"", b"2", b"\0\1\2", bytearray(b"x"), None, True, -1, 2.5, [], {}])
def test_nothing_and_what_is_no_text(frame: object) -> None:
    packet = decoded(frame)
    assert (packet.packet_type, packet.data) == (EVENT, [MALFORMED])


@pytest.mark.parametrize("frame", ["61-1[]", '61-1[{"_placeholder":true,"num":0}]'])
def test_a_binary_acknowledgement_waits_for_nothing(frame: str) -> None:
    assert decoded(frame).packet_type == ACK


@pytest.mark.parametrize(("frame", "data"), [("31[1]", [1]), ("31", []), ("31{}", []), ('31"x"', [])])
def test_acknowledgements(frame: str, data: list[object]) -> None:
    packet = decoded(frame)
    assert (packet.packet_type, packet.id, packet.data) == (ACK, 1, data)


@pytest.mark.parametrize(
    ("frame", "data"), [('0{"token":"x"}', {"token": "x"}), ("0", None), ("0[1]", None), ('0"x"', None), ("0/a,", None)]
)
def test_connecting(frame: str, data: object) -> None:
    packet = decoded(frame)
    assert (packet.packet_type, packet.data) == (CONNECT, data)


def test_what_is_sent_is_never_binary() -> None:
    assert SafePacket(EVENT, ["e", {"a": "x"}]).encode() == '2["e",{"a":"x"}]'
    assert SafePacket(EVENT, ["e"], binary=True).packet_type == EVENT


@given(st.sampled_from("23456").flatmap(lambda kind: st.text(max_size=40).map(lambda rest: kind + rest)))
def test_only_events_and_errors_that_end_nothing(frame: str) -> None:
    try:
        packet = decoded(frame)
    except ValueError:
        assert frame[0] not in "25", "a malformed event never ends the connection"
        return
    if packet.packet_type == EVENT:
        assert isinstance(packet.data, list)
        assert isinstance(packet.data[0], str)
        assert packet.data[0] not in {"connect", "disconnect"}


def test_json() -> None:
    value = {"a": ["ż", 1, None]}
    assert Json.loads(Json.dumps(value, separators=(",", ":"))) == value
    assert Json.loads(Json.dumps(value).encode()) == value
