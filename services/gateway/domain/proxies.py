"""Where a client is and how it came, when proxies that we trust stand before us."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Proxies:
    """Addresses and networks whose X-Forwarded-For is believed; raises ValueError for what is neither."""

    def __init__(self, listed: str) -> None:
        """`listed` is separated by commas; `*` stands for all."""
        texts = [text for part in listed.split(",") if (text := part.strip())]
        self._all = "*" in texts
        self._networks = [ipaddress.ip_network(text) for text in texts if text != "*"]

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return the client's address. `forwarded` holds the values of X-Forwarded-For, to which each proxy adds the address that it saw.

        It is the nearest that is no trusted proxy's; what is no address ends the search, for whoever wrote it wrote all before it.
        """
        at = _parsed(peer)
        if at is None:
            return peer
        for text in reversed(",".join(forwarded).split(",")):
            before = _parsed(text) if self._trusts(at) else None
            if before is None:
                break
            at = before
        return str(at)

    def scheme(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return `https` when the nearest proxy says so and is trusted. `forwarded` holds the values of X-Forwarded-Proto."""
        at = _parsed(peer)
        said = ",".join(forwarded).rpartition(",")[2].strip().lower()
        return "https" if at is not None and self._trusts(at) and said in {"https", "wss"} else "http"

    def _trusts(self, address: _Address) -> bool:
        return self._all or any(address in network for network in self._networks)


def network(address: str) -> str:
    """Return what stands for an address when tries are counted: of IPv6 its /64, all of which is one subscriber's; what is no address is itself."""
    at = _parsed(address)
    if not isinstance(at, ipaddress.IPv6Address):
        return address
    return str(at.ipv4_mapped or ipaddress.IPv6Network((int(at), 64), strict=False))


def _parsed(text: str) -> _Address | None:
    """Return an address, which may be followed by a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
