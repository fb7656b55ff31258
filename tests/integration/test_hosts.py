"""Every part on a host of its own, and one host after the other cut off from the rest for a while, in mid-reply."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.clients import ChatClient, connect_again, make_client
from tests.support.http_client import Api, Session
from tests.support.lan import Lan
from tests.support.nginx import Nginx, address_of
from tests.support.processes import eventually
from tests.support.stack import Mode, Part, Stack
from tests.support.upstream import Gate, Hold, Script

LONG = 60  # seconds of patience where somebody has to notice that nothing comes any more
pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Site:
    """Two web processes behind nginx, two workers, Redis, the model: eight hosts with that of the clients."""

    lan: Lan
    stack: Stack
    nginx: Nginx

    def session(self) -> Session:
        made = Api(self.nginx.url)("POST", "/api/sessions", json={"name": "Tester"})
        assert made.status_code == 201, made.text
        session = Session(made.json()["session_id"], made.json()["token"])
        self.stack.secrets.add(session.token)
        return session

    def client(self, session: Session) -> ChatClient:
        return make_client("python", session, self.nginx.url).connect()

    def saved(self, client: ChatClient, conversation_id: str) -> list[dict[str, object]]:
        return Api(self.nginx.url, client.session.token).messages(conversation_id)

    def assert_answered_once(self, client: ChatClient, conversation_id: str, turn_ids: list[str]) -> None:
        """Each of them has one saved reply, whole and in this order, and the client shows just that."""
        view = client.view(conversation_id)
        assert view.messages == self.saved(client, conversation_id)
        replies = [message for message in view.messages if message["role"] == "assistant"]
        assert [reply["turn_id"] for reply in replies] == turn_ids
        assert {reply["status"] for reply in replies} == {"done"}
        assert view.turns == {}

    def name_of(self, address: str) -> str:
        parts: list[Part] = [*self.stack.webs, *self.stack.workers]
        return next(part.name for part in parts if part.host.address == address)


@pytest.fixture(scope="module")
def site(mode: Mode, lan: Lan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hosts")
    environ = {"LEASE_SECONDS": "2", "SWEEP_SECONDS": "0.5", "TRUSTED_PROXIES": "1"}
    with Stack(folder, webs=2, workers=2, mode=mode, environ=environ, hosts=lan.host) as stack:
        nginx = Nginx(stack.webs, folder, lan.host("nginx"))
        nginx.start()
        try:
            eventually(nginx.answers, "nginx passes requests on")
            yield Site(lan, stack, nginx)
        finally:
            nginx.kill()


def begun(site: Site, client: ChatClient) -> tuple[str, str, str, Gate]:
    """A reply of which half is shown: (conversation, turn, question, where the model holds)."""
    text, gate = site.stack.secret_text(), Gate()
    site.stack.model.answer(text, Script(["Half ", Hold(gate), "and half."]))
    answer = client.send(text)
    client.wait_text(answer["conversation_id"], answer["turn_id"], "Half ")
    return answer["conversation_id"], answer["turn_id"], text, gate


def test_each_part_has_an_address_of_its_own(site: Site) -> None:
    with site.client(site.session()) as client:
        for _ in range(8):
            client.talk(site.stack.secret_text())
    workers = {request.peer for request in site.stack.model.upstream.requests}
    assert workers == {worker.host.address for worker in site.stack.workers}
    eventually(lambda: site.nginx.served_by("/socket.io"), "nginx has seen the client off")
    parts: list[Part] = [*site.stack.webs, *site.stack.workers]
    assert len({part.host.address for part in parts}) == len(parts)


def test_a_workers_host_is_cut_off(site: Site) -> None:
    with site.client(site.session()) as client:
        conversation_id, turn_id, text, gate = begun(site, client)
        cut = site.name_of(site.stack.model.request(text).peer)
        site.lan.pull_out(cut)
        try:
            finished = client.wait_finished(turn_id, LONG)
            assert finished["message"]["text"] == f"You said: {text}"
            turn_ids = [turn_id]
            for _ in range(3):
                turn_ids.append(client.send(site.stack.secret_text(), conversation_id)["turn_id"])
                client.wait_finished(turn_ids[-1], LONG)
            gate.open()
        finally:
            site.lan.plug_in(cut)
        # What it has to say of its own reply reaches nobody, and it goes on with others: the only one to do so now.
        other = next(worker.name for worker in site.stack.workers if worker.name != cut)
        site.lan.pull_out(other)
        try:
            turn_ids.append(client.send(site.stack.secret_text(), conversation_id)["turn_id"])
            client.wait_finished(turn_ids[-1], LONG)
        finally:
            site.lan.plug_in(other)
        assert client.gaps == 0
        assert client.disconnects == []
        site.assert_answered_once(client, conversation_id, turn_ids)
        assert len(site.stack.model.requests(text)) == 2


def test_a_web_processes_host_is_cut_off(site: Site) -> None:
    session, cut = site.session(), site.stack.webs[0]
    clients = [site.client(session) for _ in range(4)]
    try:
        conversation_id, turn_id, text, gate = begun(site, clients[0])
        for client in clients[1:]:
            client.open(conversation_id)
        site.lan.pull_out(cut.name)
        try:
            gate.open()
            for client in clients:
                wait_for_either(client, turn_id)
            stranded = [client for client in clients if client.disconnects]
            assert 0 < len(stranded) < len(clients)
            for client in stranded:
                connect_again(client)
                client.open(conversation_id)
            turn_ids = [turn_id, stranded[0].send(site.stack.secret_text(), conversation_id)["turn_id"]]
            for client in clients:
                client.wait_reply(conversation_id, turn_ids[-1])
                site.assert_answered_once(client, conversation_id, turn_ids)
        finally:
            site.lan.plug_in(cut.name)
        assert clients[-1].view(conversation_id).messages[1]["text"] == "Half and half."
        assert len(site.stack.model.requests(text)) == 1
        assert {client.gaps for client in clients if client not in stranded} == {0}
    finally:
        for client in clients:
            client.close()

    def served_once_more() -> bool:
        site.client(session).close()
        return site.nginx.served_by("/socket.io").count(address_of(cut)) > before

    before = site.nginx.served_by("/socket.io").count(address_of(cut))
    eventually(served_once_more, "it gets connections again", LONG)


def wait_for_either(client: ChatClient, turn_id: str) -> None:
    """Until it has the end of the reply, or knows that it hears nothing."""

    def either() -> bool:
        return bool(client.disconnects) or any(event["type"] == "turn.finished" for event in client.received)

    client.wait_for(either, f"the end of {turn_id}, or a lost connection", LONG)


@pytest.mark.parametrize("fate", ["unharmed", "restarted"])
def test_the_host_of_redis_is_cut_off(site: Site, fate: str) -> None:
    """For longer than a lease. Once it is back, its Redis may be another process, which knows of no connection."""
    session = site.session()
    clients = [site.client(session) for _ in range(2)]
    try:
        text, gate = site.stack.secret_text(), Gate()
        meanwhile = [f"word{number} " for number in range(48)]
        site.stack.model.answer(text, Script(["Before. ", *meanwhile, Hold(gate), "After."], rate=8))
        answer = clients[0].send(text)
        conversation_id, turn_id = answer["conversation_id"], answer["turn_id"]
        clients[0].wait_event("turn.delta", turn_id=turn_id)
        clients[1].open(conversation_id)
        site.lan.pull_out("redis")
        try:
            known = {"text": "Now?", "client_id": "now", "conversation_id": conversation_id}
            answers = [client.post("send_message", known) for client in clients]
            refused = [answer.wait(LONG)["error"]["code"] for answer in answers]
            assert refused == ["unavailable", "unavailable"]
            gate.wait_reached(timeout=LONG)
            if fate == "restarted":
                site.stack.redis.process.kill()
                site.stack.redis.process.start()
        finally:
            site.lan.plug_in("redis")
        gate.open()
        for client in clients:
            client.wait_reply(conversation_id, turn_id, LONG)
            site.assert_answered_once(client, conversation_id, [turn_id])
        assert clients[0].view(conversation_id).messages[1]["text"] == f"Before. {''.join(meanwhile)}After."
        assert len(site.stack.model.requests(text)) == 1
        turn_ids = [turn_id]
        for _ in range(4):
            turn_ids.append(clients[0].send(site.stack.secret_text(), conversation_id)["turn_id"])
            clients[0].wait_finished(turn_ids[-1], LONG)
        for client in clients:
            client.wait_reply(conversation_id, turn_ids[-1], LONG)
            site.assert_answered_once(client, conversation_id, turn_ids)
            assert client.disconnects == []
    finally:
        for client in clients:
            client.close()
