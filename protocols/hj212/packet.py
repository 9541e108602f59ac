"""A packet: the fields of a data part, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.hj212.edition import EDITION_2005, EDITIONS, Edition
from protocols.hj212.errors import BadField, BadText, Unencodable, UnknownEdition
from protocols.hj212.frame import MAX_DATA, framed, unframed

Pair = tuple[str, str]
"""A field: its key and its value."""
Item = tuple[Pair, ...]
"""The fields between two `;` of CP."""

MAX_PARTS: Final = 9999
"""PNUM and PNO have up to four digits."""

_KNOWN: Final = frozenset({"QN", "ST", "CN", "PW", "MN", "Flag", "PNUM", "PNO", "CP"})
_ENDS: Final = b"&&"
_cp = re.compile(rb"(?:^|;) *CP=&&")
_number = re.compile(r"[0-9]{1,4}").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f]").search
_head_value = re.compile(r"[!-~](?:[ -~]*[!-~])?").fullmatch
_unwritable = re.compile(r"[\x00-\x1f\x7f;,&]|\A | \Z").search


@dataclass(frozen=True, slots=True)
class Flag:
    """The Flag field: V5..V0, D and A, from the highest bit to the lowest."""

    edition: Edition
    numbered: bool = False
    """D: the packet carries PNUM and PNO. Devices set it without, and number without setting it: `Packet.part` says what stands there."""
    answer: bool = False
    """A: the sender wants an answer."""

    @property
    def number(self) -> int:
        """The value that is written."""
        return self.edition.version << 2 | self.numbered << 1 | self.answer


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a split message a packet is: PNO of PNUM, from 1."""

    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet. Text that is absent or empty is `""`; whether codes, names and times mean anything is not checked here."""

    cn: str
    """Command."""
    mn: str
    """The device, up to 24 characters."""
    st: str = ""
    """Kind of system: 39 dust of construction sites, 91 interaction, …"""
    qn: str = ""
    """Of a request and of what belongs to it: YYYYMMDDhhmmsszzz. Devices of 2005 send uploads without."""
    pw: str = field(default="", repr=False)
    """Password; kept out of `repr`, so out of logs."""
    flag: Flag | None = None
    """`None` where none was sent."""
    part: Part | None = None
    extra: tuple[Pair, ...] = ()
    """Head fields that the standard does not name, in their order."""
    items: tuple[Item, ...] = ()
    """CP."""

    @property
    def edition(self) -> Edition:
        return self.flag.edition if self.flag else EDITION_2005

    @property
    def answer_wanted(self) -> bool:
        return self.flag is not None and self.flag.answer

    def value(self, key: str) -> str | None:
        """The first value of `key` in CP."""
        return next((value for item in self.items for name, value in item if name == key), None)


def decode(raw: bytes, *, editions: Mapping[int, Edition] = EDITIONS, encoding: str | None = None, max_data: int = MAX_DATA) -> Packet:
    """The packet of one whole frame; raises `FrameError` or `PacketError`, nothing else. `encoding` overrides the edition's."""
    return decode_data(unframed(raw, max_data=max_data), editions=editions, encoding=encoding)


def decode_data(data: bytes, *, editions: Mapping[int, Edition] = EDITIONS, encoding: str | None = None) -> Packet:
    """The packet of a frame's data part; raises `PacketError`, nothing else."""
    begin = _cp.search(data)
    if begin is None or not data.endswith(_ENDS) or len(data) - begin.end() < len(_ENDS):
        raise BadField("is not of the form CP=&&…&& at the end", where="CP")
    head = _head(data[: begin.start()])
    flag = _flag(head.get("Flag", ""), editions)
    text = _text(data[begin.end() : -len(_ENDS)], encoding or (flag.edition if flag else EDITION_2005).encoding, where="CP")
    return Packet(
        cn=_required(head, "CN"),
        mn=_required(head, "MN"),
        st=head.get("ST", ""),
        qn=head.get("QN", ""),
        pw=head.get("PW", ""),
        flag=flag,
        part=_part(head),
        extra=tuple((key, value) for key, value in head.items() if key not in _KNOWN),
        items=_items(text),
    )


def _text(data: bytes, encoding: str, *, where: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadText(f"is no {encoding} at byte {error.start}", where=where) from error
    if control := _control(text):
        raise BadText(f"has a control character at {control.start()}", where=where)
    return text


def _head(data: bytes) -> dict[str, str]:
    head: dict[str, str] = {}
    for place, written in enumerate(_text(data, "ascii", where="head").split(";"), start=1):
        if not written.strip(" "):
            continue
        key, value = _pair(written, where=f"head field {place}")
        if key in head:
            raise BadField("is given twice", where=key)
        head[key] = value
    return head


def _pair(written: str, *, where: str) -> Pair:
    key, equals, value = written.partition("=")
    key = key.strip(" ")
    if not key or not equals:
        raise BadField("is not of the form key=value", where=where)
    return key, value.strip(" ")


def _required(head: Mapping[str, str], key: str) -> str:
    if not (value := head.get(key)):
        raise BadField("is missing", where=key)
    return value


def _whole(value: str, *, where: str) -> int:
    if not _number(value):
        raise BadField("is no whole number of one to four digits", where=where)
    return int(value)


def _flag(value: str, editions: Mapping[int, Edition]) -> Flag | None:
    if not value:
        return None
    number = _whole(value, where="Flag")
    edition = editions.get(number >> 2)
    if edition is None:
        raise UnknownEdition(f"no known edition has the version bits {number >> 2:06b}", where="Flag")
    return Flag(edition, numbered=bool(number & 2), answer=bool(number & 1))


def _part(head: Mapping[str, str]) -> Part | None:
    if not head.get("PNUM") and not head.get("PNO"):
        return None
    part = Part(number=_whole(head.get("PNO", ""), where="PNO"), total=_whole(head.get("PNUM", ""), where="PNUM"))
    if not 1 <= part.number <= part.total:
        raise BadField(f"is not within 1 to {part.total}", where="PNO")
    return part


def _items(text: str) -> tuple[Item, ...]:
    if "&&" in text:
        raise BadField("holds && inside", where="CP")
    items = (
        tuple(_pair(written, where=f"CP item {place}") for written in item.split(",") if written.strip(" "))
        for place, item in enumerate(text.split(";"), start=1)
    )
    return tuple(item for item in items if item)


def encode(packet: Packet, *, encoding: str | None = None, max_data: int = MAX_DATA) -> bytes:
    """The whole frame; raises `Unencodable`. `decode` gives an equal packet back. `encoding` overrides the edition's."""
    data = encode_data(packet, encoding=encoding)
    if len(data) > max_data:
        raise Unencodable(f"{len(data)} bytes exceed {max_data}", where="data")
    return framed(data)


def encode_data(packet: Packet, *, encoding: str | None = None) -> bytes:
    """The data part, however long; raises `Unencodable`."""
    head = ";".join(f"{key}={_writable_head(key, value)}" for key, value in _head_pairs(packet))
    return b"%s;CP=&&%s&&" % (head.encode("ascii"), encode_items(packet.items, encoding=encoding or packet.edition.encoding))


def encode_items(items: Iterable[Item], *, encoding: str) -> bytes:
    """What stands between the `&&` of CP; raises `Unencodable`."""
    text = ";".join(",".join(f"{_writable_key(key)}={_writable(value, where=key)}" for key, value in item) for item in items if item)
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise Unencodable(f"has characters that {encoding} does not", where="CP") from error


def _head_pairs(packet: Packet) -> list[Pair]:
    standard = {"QN": packet.qn, "ST": packet.st, "CN": packet.cn, "PW": packet.pw, "MN": packet.mn}
    pairs = [(key, value) for key, value in standard.items() if value or key in {"CN", "MN"}]
    if packet.flag:
        pairs.append(("Flag", str(packet.flag.number)))
    if packet.part:
        pairs += [("PNUM", str(packet.part.total)), ("PNO", str(packet.part.number))]
        if not 1 <= packet.part.number <= packet.part.total <= MAX_PARTS:
            raise Unencodable(f"is not within 1 to {packet.part.total}, or that not within {MAX_PARTS}", where="PNO")
    if len({key for key, _ in packet.extra} | _KNOWN) < len(packet.extra) + len(_KNOWN):
        raise Unencodable("a field is given twice", where="extra")
    return pairs + [(_writable_head(key, _writable_key(key)), value) for key, value in packet.extra]


def _writable_head(key: str, value: str) -> str:
    """Head fields are ASCII; those of `extra` may be empty."""
    if (value or key in _KNOWN) and (not _head_value(value) or ";" in value):
        raise Unencodable("is empty, not ASCII, or holds a separator", where=key)
    return value


def _writable_key(key: str) -> str:
    if not key or "=" in key:
        raise Unencodable("a key is empty or holds =", where=key or "CP")
    return _writable(key, where=key)


def _writable(text: str, *, where: str) -> str:
    if _unwritable(text):
        raise Unencodable("holds a separator, a control character, or spaces at its ends", where=where)
    return text
