"""Where a request comes from: the peer, or what the proxies before us say, as far as they are ours.

`X-Forwarded-For` is believed from the right, hop by hop, while the hop that wrote it is one of DRISHTIKSHA_TRUSTED_PROXIES.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

Networks = Sequence[IPv4Network | IPv6Network]

_UNKNOWN = "unknown"
_HOUSEHOLD = 64
"""Bits of an IPv6 address that one customer cannot change: the rest is hers to choose."""


def origin_of(request: Request, trusted: Networks) -> str:
    """The client's address, an IPv6 one as its /64 network; `unknown` for a peer without one."""
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    return _household(_outermost(peer, forwarded, trusted))


def _outermost(peer: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """The first address from the right that no proxy of ours has. What is no address ends the walk: it may be forged."""
    here = peer
    for said in reversed(forwarded):
        if not _among(here, trusted) or _parsed(said.strip()) is None:
            break
        here = said.strip()
    return here


def _among(address: str, networks: Networks) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _household(address: str) -> str:
    parsed = _parsed(address)
    if parsed is None:
        return _UNKNOWN
    return str(ip_network((parsed, _HOUSEHOLD), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)
