"""One text says where Kafka is and as whom it is spoken to; whatever is wrong with it, its password is never told."""

from __future__ import annotations

import contextlib
import ssl
import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit import brokers
from services.kit.errors import Misconfigured
from services.kit.settings import CommonSettings

SCHEMES = {"plain": ("SASL_PLAINTEXT", "PLAIN"), "scram": ("SASL_PLAINTEXT", "SCRAM-SHA-256"), "scram+tls": ("SASL_SSL", "SCRAM-SHA-256")}


@pytest.mark.parametrize("address", ["127.0.0.1:9092", "a:1,b.example:2,[::1]:3"])
def test_host_and_port_alone_are_spoken_to_as_ever(address: str):
    assert brokers.clients(address) == {"bootstrap_servers": address, "security_protocol": "PLAINTEXT"}
    assert brokers.shown(address) == address
    assert not brokers.has_user(address)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=20)
@given(user=st.text(min_size=1, max_size=20), password=st.text(min_size=1, max_size=40))
def test_user_and_password_come_out_as_they_went_in_and_only_the_user_is_shown(scheme: str, user: str, password: str):
    named, secret = quote(user, safe=""), quote(password, safe="")
    address = f"{scheme}://{named}:{secret}@a:1,b:2"
    protocol, mechanism = SCHEMES[scheme]
    told = brokers.clients(address)
    told.pop("ssl_context", None)
    assert told == {
        "bootstrap_servers": "a:1,b:2",
        "security_protocol": protocol,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }
    assert brokers.librdkafka(address) == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }
    assert brokers.shown(address) == f"{scheme}://{named}@a:1,b:2"


def test_tls_trusts_the_machine_or_who_is_named(tmp_path: Path):
    assert isinstance(brokers.clients("tls://a:1")["ssl_context"], ssl.SSLContext)
    assert brokers.librdkafka("tls://a:1?ca=/etc/city%20ca.pem") == {
        "bootstrap.servers": "a:1",
        "security.protocol": "SSL",
        "ssl.ca.location": "/etc/city ca.pem",
    }
    empty = tmp_path / "empty.pem"
    empty.touch()
    for file in (tmp_path / "none.pem", empty):
        with pytest.raises(Misconfigured, match=f"{file} holds no certificates that can be read"):
            brokers.clients(f"tls://a:1?ca={file}")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "none of the forms"),
        ("a", "not each of its brokers is HOST:PORT"),
        ("a:1,,b:2", "not each of its brokers is HOST:PORT"),
        ("a:1, b:2", "not each of its brokers is HOST:PORT"),
        ("kafka://a:1", "there is no kafka://"),
        ("plain://a:1", "plain:// needs a user and a password"),
        ("scram://u:@a:1", "scram:// needs a user and a password"),
        ("u:geheim@a:1", "a user needs plain:// or scram://"),
        ("tls://u:geheim@a:1", "a user needs plain:// or scram://"),
        ("scram://u:geheim", "not each of its brokers is HOST:PORT"),
        ("scram://u:ge@heim@a:1", "not percent-encoded"),
        ("scram://u:geheim/@a:1", "not percent-encoded"),
        ("scram://u:geheim@a:1?sasl=geheim", "none of the forms"),
        ("scram://u:geheim@a:1?ca=/x", "ca is for TLS"),
    ],
)
def test_what_is_no_address_is_told_without_its_password(address: str, why: str):
    for ask in (brokers.clients, brokers.librdkafka, brokers.has_user, brokers.checked):
        with pytest.raises(Misconfigured, match=why) as raised:
            ask(address)
        assert "geheim" not in str(raised.value)
    assert brokers.shown(address) == "(not an address)"


@settings(max_examples=100)
@given(before=st.text(string.printable, max_size=12), after=st.text(string.printable, max_size=12))
def test_however_a_password_is_written_it_is_not_shown(before: str, after: str):
    address = f"scram://user:{before}SECRET{after}@kafka:9092"
    assert "SECRET" not in brokers.shown(address)
    with contextlib.suppress(Misconfigured):
        brokers.checked(address)
        return
    with pytest.raises(Misconfigured) as raised:
        brokers.checked(address)
    assert "SECRET" not in str(raised.value)


def test_a_service_refuses_settings_with_a_wrong_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TONGGUAN_KAFKA", "scram://tongguan:ge@heim@kafka-1:9092")
    with pytest.raises(Misconfigured, match=r"the address of Kafka: .*percent-encoded") as raised:
        CommonSettings()
    assert "heim" not in str(raised.value)
