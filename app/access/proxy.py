"""AUTH=proxy. A person is whom the operator's own proxy names in a header, having let them in."""

import math
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from app.access.identity import MAX_NAME_CHARS, Given, Session, owner_of

ISSUER = "proxy"


class ProxyIdentities:
    """`addresses`: of the proxies, or their networks. From anybody else the header means nothing."""

    def __init__(self, *, header: str, addresses: Sequence[str]) -> None:
        self._header = header
        self._networks = [ip_network(address, strict=False) for address in addresses]

    def identify(self, given: Given) -> Session | None:
        user = (given.header(self._header) or "").strip()
        if not user or not self._is_proxy(given.peer):
            return None
        owner = owner_of(ISSUER, user)
        # The proxy knows people by their cookies, so what it says holds for whatever their browsers send.
        return Session(owner, user[:MAX_NAME_CHARS], credential=owner, ambient=True)

    def renew(self, _session: Session) -> bool:
        return True

    def remaining(self, sessions: Sequence[Session]) -> list[float]:
        return [math.inf] * len(sessions)

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)
