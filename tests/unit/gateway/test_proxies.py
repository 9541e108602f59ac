"""Where a client is behind proxies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.proxies import Proxies, network


@pytest.mark.parametrize(
    ("listed", "peer", "forwarded", "client"),
    [
        ("127.0.0.1", "127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", "198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("", "127.0.0.1", ["203.0.113.9"], "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", ["10.9.9.9, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", "127.0.0.1", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1,10.0.0.0/8", "127.0.0.1", ["198.51.100.7", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1,10.0.0.0/8", "127.0.0.1", ["10.1.2.3, 10.1.2.4"], "10.1.2.3"),
        ("*", "198.51.100.7", ["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1", ["203.0.113.9:5011"], "203.0.113.9"),
        ("::1", "::1", ["[2001:db8::5]:5011"], "2001:db8::5"),
        ("127.0.0.1", "127.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("127.0.0.1", "127.0.0.1", ["evil, unknown"], "127.0.0.1"),
        ("127.0.0.1,10.0.0.0/8", "127.0.0.1", ["203.0.113.9, unknown, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", "a socket's file", ["203.0.113.9"], "a socket's file"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_trusted_proxy(listed: str, peer: str, forwarded: list[str], client: str):
    assert Proxies(listed).client(peer, forwarded) == client


@pytest.mark.parametrize(
    ("listed", "peer", "forwarded", "scheme"),
    [
        ("127.0.0.1", "127.0.0.1", ["https"], "https"),
        ("127.0.0.1", "127.0.0.1", ["WSS "], "https"),
        ("127.0.0.1", "127.0.0.1", ["http, https"], "https"),
        ("127.0.0.1", "127.0.0.1", ["https", "http"], "http"),
        ("127.0.0.1", "127.0.0.1", [], "http"),
        ("127.0.0.1", "127.0.0.1", ["gopher"], "http"),
        ("127.0.0.1", "198.51.100.7", ["https"], "http"),
        ("*", "a socket's file", ["https"], "http"),
    ],
)
def test_only_a_trusted_proxy_says_that_it_came_by_https(listed: str, peer: str, forwarded: list[str], scheme: str):
    assert Proxies(listed).scheme(peer, forwarded) == scheme


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::6", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", "unknown"),
        ("a socket's file", "a socket's file"),
    ],
)
def test_who_has_one_address_of_ipv6_has_all_of_its_network(address: str, counted_as: str):
    assert network(address) == counted_as


@given(st.lists(st.text(max_size=30), max_size=4))
def test_what_others_wrote_is_never_taken_for_an_address_of_a_stranger(forwarded: list[str]):
    assert Proxies("127.0.0.1").client("198.51.100.7", forwarded) == "198.51.100.7"
    Proxies("*").client("198.51.100.7", forwarded)


@pytest.mark.parametrize("listed", ["here", "10.0.0.1/8", "127.0.0.1;10.0.0.1"])
def test_what_is_no_address_cannot_be_trusted(listed: str):
    with pytest.raises(ValueError, match=r"does not appear to be|has host bits set"):
        Proxies(listed)
