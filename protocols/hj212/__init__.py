r"""HJ 212: how monitors of pollution and dust in China speak over TCP, without the TCP.

Editions HJ/T 212-2005, HJ 212-2017 and the plain packets of HJ 212-2025. Bytes in, values out: no I/O, no clock, the standard library only.
A stream goes through four steps, each of use alone:

>>> from zoneinfo import ZoneInfo
>>> sent = (
...     b"##0155QN=20260401080003000;ST=39;CN=2011;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"
...     b"CP=&&DataTime=20260401080000;a34001-Rtd=0.123,a34001-Flag=N;a01001-Rtd=--&&5E40\r\n"
... )
>>> framer = Framer()
>>> framer.feed(sent[:50])
[]
>>> [frame] = framer.feed(sent[50:])                      # frames, and bytes that are none
>>> packet = decode_data(frame.data)                      # fields
>>> [whole] = Assembler().add(packet, now=0.0)            # messages of several packets, joined
>>> upload = upload_of(whole, ZoneInfo("Asia/Shanghai"))  # values
>>> str(upload.kind), upload.at.isoformat()
('real_time', '2026-04-01T08:00:00+08:00')
>>> upload.readings[0].rtd, upload.readings[0].mark
(Decimal('0.123'), <Mark.NORMAL: 'N'>)
>>> [(problem.code, problem.text, str(problem.fault)) for problem in upload.problems]
[('a01001', '--', 'no_number')]
>>> packet.answer_wanted, encode(data_answer(packet))
(True, b'##0087QN=20260401080003000;ST=91;CN=9014;PW=123456;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&06C0\r\n')

What goes wrong has a type: a framer gives out `Refused` bytes and goes on, reading and writing raise what `protocols.hj212.errors` draws,
a value that is no number is a `ValueProblem` of its upload, and a message that lacks parts comes out as `Incomplete`.
"""

from protocols.hj212.assembler import Assembler, Incomplete, Lack
from protocols.hj212.commands import (
    TIMEOUT_SECONDS,
    TRIES,
    Answer,
    ExeRtn,
    QnRtn,
    Station,
    answer_of,
    data_answer,
    execute_answer,
    notice_answer,
    qn_of,
    read_clock,
    read_minute_interval,
    read_real_time_interval,
    request,
    request_answer,
    set_clock,
    set_minute_interval,
    set_real_time_interval,
)
from protocols.hj212.crc import crc16
from protocols.hj212.device import split, upload_packets
from protocols.hj212.edition import EDITION_2005, EDITION_2017, EDITION_2025, EDITIONS, Edition
from protocols.hj212.errors import BadField, BadText, FrameError, FrameProblem, PacketError, ProtocolError, Unencodable, UnknownEdition
from protocols.hj212.frame import MAX_DATA, Frame, Framer, Refused, framed, unframed
from protocols.hj212.packet import Flag, Item, Packet, Pair, Part, decode, decode_data, encode
from protocols.hj212.upload import (
    KINDS,
    STATISTICS,
    Kind,
    Mark,
    Reading,
    Upload,
    ValueFault,
    ValueProblem,
    kind_of,
    time_of,
    upload_of,
)

__all__ = [
    "EDITIONS",
    "EDITION_2005",
    "EDITION_2017",
    "EDITION_2025",
    "KINDS",
    "MAX_DATA",
    "STATISTICS",
    "TIMEOUT_SECONDS",
    "TRIES",
    "Answer",
    "Assembler",
    "BadField",
    "BadText",
    "Edition",
    "ExeRtn",
    "Flag",
    "Frame",
    "FrameError",
    "FrameProblem",
    "Framer",
    "Incomplete",
    "Item",
    "Kind",
    "Lack",
    "Mark",
    "Packet",
    "PacketError",
    "Pair",
    "Part",
    "ProtocolError",
    "QnRtn",
    "Reading",
    "Refused",
    "Station",
    "Unencodable",
    "UnknownEdition",
    "Upload",
    "ValueFault",
    "ValueProblem",
    "answer_of",
    "crc16",
    "data_answer",
    "decode",
    "decode_data",
    "encode",
    "execute_answer",
    "framed",
    "kind_of",
    "notice_answer",
    "qn_of",
    "read_clock",
    "read_minute_interval",
    "read_real_time_interval",
    "request",
    "request_answer",
    "set_clock",
    "set_minute_interval",
    "set_real_time_interval",
    "split",
    "time_of",
    "unframed",
    "upload_of",
    "upload_packets",
]
