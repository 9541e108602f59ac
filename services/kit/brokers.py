"""The address of Kafka: one text says where its brokers are, how they are spoken to, and as whom.

    HOST:PORT[,HOST:PORT…]                 without TLS, as nobody
    tls://HOST:PORT,…                      TLS, as nobody
    plain://USER:PASSWORD@HOST:PORT,…      SASL PLAIN: the password itself goes over the line
    scram://USER:PASSWORD@HOST:PORT,…      SASL SCRAM-SHA-256: it does not
    plain+tls://…, scram+tls://…           the same under TLS

User and password are percent-encoded. With TLS `?ca=/path/of.pem` names who vouches for the brokers, where that is not one whom this machine trusts.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from services.kit.errors import Misconfigured

_FORM = re.compile(r"(?:([a-z+]+)://)?(?:([^:@/?]*):([^@/?]*)@)?([^@/?]+)/?(?:\?ca=([^&]+))?")
_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_SCHEMES = {
    "": ("", False),
    "tls": ("", True),
    "plain": ("PLAIN", False),
    "plain+tls": ("PLAIN", True),
    "scram": ("SCRAM-SHA-256", False),
    "scram+tls": ("SCRAM-SHA-256", True),
}
"""What SASL calls how one signs in there, empty where nobody does; and whether it is under TLS."""
_MEND = "write HOST:PORT[,HOST:PORT…], tls://HOST:PORT or SCHEME://USER:PASSWORD@HOST:PORT with plain, scram, plain+tls or scram+tls"


@dataclass(frozen=True, slots=True)
class _Address:
    scheme: str
    servers: str
    user: str
    password: str
    ca: str

    @property
    def mechanism(self) -> str:
        return _SCHEMES[self.scheme][0]

    @property
    def tls(self) -> bool:
        return _SCHEMES[self.scheme][1]

    @property
    def protocol(self) -> str:
        """Kafka's word for both."""
        return ("SASL_" if self.mechanism else "") + ("SSL" if self.tls else "PLAINTEXT")


def clients(address: str) -> dict[str, Any]:
    """Return the arguments with which a client of aiokafka gets there. Raises `Misconfigured`, as all here do; no error tells the password."""
    read = _read(address)
    told: dict[str, Any] = {"bootstrap_servers": read.servers, "security_protocol": read.protocol}
    if read.tls:
        told["ssl_context"] = _trust(read.ca)
    if read.mechanism:
        told |= {"sasl_mechanism": read.mechanism, "sasl_plain_username": read.user, "sasl_plain_password": read.password}
    return told


def librdkafka(address: str) -> dict[str, str]:
    """Return the settings with which a client of confluent-kafka gets there."""
    read = _read(address)
    told = {"bootstrap.servers": read.servers, "security.protocol": read.protocol}
    if read.ca:
        told["ssl.ca.location"] = read.ca
    if read.mechanism:
        told |= {"sasl.mechanism": read.mechanism, "sasl.username": read.user, "sasl.password": read.password}
    return told


def checked(address: str) -> str:
    """Return the address as it is."""
    _read(address)
    return address


def has_user(address: str) -> bool:
    """Say whether one signs in there."""
    return bool(_read(address).mechanism)


def shown(address: str) -> str:
    """Return the address without its password, for people and logs; what is no address is not repeated."""
    try:
        read = _read(address)
    except Misconfigured:
        return "(not an address)"
    return (f"{read.scheme}://" if read.scheme else "") + (f"{quote(read.user, safe='')}@" if read.user else "") + read.servers


def _read(address: str) -> _Address:
    found = _FORM.fullmatch(address)
    if found is None:
        raise _wrong("it has none of the forms that there are (is a letter of the password not percent-encoded?)")
    scheme, user, password, servers, ca = (unquote(part or "") for part in found.groups())
    read = _Address(scheme, servers, user, password, ca)
    if scheme not in _SCHEMES:
        raise _wrong(f"there is no {scheme}://")
    if not all(_SERVER.fullmatch(server) for server in servers.split(",")):
        raise _wrong("not each of its brokers is HOST:PORT")  # not which: where the `@` is forgotten it is user and password
    if bool(read.mechanism) != bool(user and password):
        raise _wrong(f"{scheme}:// needs a user and a password" if read.mechanism else "a user needs plain:// or scram://")
    if ca and not read.tls:
        raise _wrong("ca is for TLS")
    return read


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"the address of Kafka: {ca} holds no certificates that can be read: {error}") from error


def _wrong(what: str) -> Misconfigured:
    return Misconfigured(f"the address of Kafka: {what}; {_MEND}")
