"""The device's side: packets from values, for simulators and tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from protocols.hj212.commands import Station, qn_of
from protocols.hj212.errors import Unencodable
from protocols.hj212.frame import MAX_DATA
from protocols.hj212.packet import MAX_PARTS, Flag, Item, Packet, Pair, Part, encode_data, encode_items
from protocols.hj212.upload import KINDS, STATISTICS, Reading, Upload

_CNS: Final = {kind: cn for cn, kind in KINDS.items() if kind in STATISTICS}
_FRAME: Final = len("CP=&&&&")


def upload_packets(station: Station, upload: Upload, *, at: datetime, answer: bool = True) -> list[Packet]:
    """The packets of an upload that is sent at `at`; more than one where CP would be too long. Joined and read they give it back.

    `upload.kind` is one of `STATISTICS`. Raises `Unencodable`.
    """
    items: list[Item] = [(("DataTime", _written_time(upload.at)),)]
    items += [(pair,) for pair in upload.others]
    items += [_item(reading) for reading in upload.readings]
    flag = Flag(station.edition, answer=answer)
    return split(Packet(qn=qn_of(at), st=station.st, cn=_CNS[upload.kind], pw=station.pw, mn=station.mn, flag=flag, items=tuple(items)))


def split(packet: Packet) -> list[Packet]:
    """The packet itself if it fits, else its parts, each opened by the packet's first item (DataTime).

    Raises `Unencodable` where an item does not fit into a part of its own.
    """
    if _size(packet.items, packet) <= _room(packet):
        return [packet]
    opening, rest = packet.items[:1], packet.items[1:]
    flag = replace(packet.flag, numbered=True) if packet.flag else None
    part = replace(packet, flag=flag, part=Part(MAX_PARTS, MAX_PARTS), items=opening)
    groups = _groups(part, rest)
    return [replace(part, part=Part(number, len(groups)), items=opening + group) for number, group in enumerate(groups, start=1)]


def _groups(part: Packet, items: tuple[Item, ...]) -> list[tuple[Item, ...]]:
    """`items` in as few groups as fit, in their order, behind the opening of `part`."""
    opening, room = _size(part.items, part), _room(part)
    groups: list[list[Item]] = [[]]
    taken = opening
    for item in items:
        size = len(b";") + _size((item,), part)
        if groups[-1] and taken + size > room:
            groups.append([])
            taken = opening
        groups[-1].append(item)
        taken += size
        if taken > room:
            raise Unencodable("an item does not fit into a packet", where=item[0][0])
    if taken > room:
        raise Unencodable("an item does not fit into a packet", where="CP")
    return [tuple(group) for group in groups]


def _room(packet: Packet) -> int:
    """Bytes between the `&&`: the edition's bound and that of the data part both hold."""
    return min(packet.edition.max_cp - _FRAME, MAX_DATA - len(encode_data(replace(packet, items=()))))


def _size(items: tuple[Item, ...], packet: Packet) -> int:
    return len(encode_items(items, encoding=packet.edition.encoding))


def _written_time(time: datetime) -> str:
    return f"{time:%Y%m%d%H%M%S}"


def _item(reading: Reading) -> Item:
    numbers = {"Rtd": reading.rtd, "Min": reading.min, "Avg": reading.avg, "Max": reading.max, "Cou": reading.cou}
    fields: list[Pair] = [(name, _written(number)) for name, number in numbers.items() if number is not None]
    fields += reading.others
    if reading.sample_time:
        fields.append(("SampleTime", _written_time(reading.sample_time)))
    if reading.flag:
        fields.append(("Flag", reading.flag))
    return tuple((f"{reading.code}-{name}", value) for name, value in fields)


def _written(number: Decimal) -> str:
    if not number.is_finite():
        raise Unencodable("is no finite number", where="CP")
    return f"{number:f}"
