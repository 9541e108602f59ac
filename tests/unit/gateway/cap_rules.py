"""What a message of CAP 1.2 must be, written from the standard's tables: its elements, their order and number, their words and forms.

Nothing here knows how the gateway makes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree as ET

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
NAME = re.compile(r"[^\s,<&]+")
"""Of a message and of a sender: neither spaces nor commas nor what XML would have to escape."""
LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
CIRCLE = re.compile(r"-?\d+(\.\d+)?,-?\d+(\.\d+)? \d+(\.\d+)?")

ONE, MAYBE, SOME, ANY = (1, 1), (0, 1), (1, None), (0, None)
ALERT = {
    "identifier": ONE,
    "sender": ONE,
    "sent": ONE,
    "status": ONE,
    "msgType": ONE,
    "source": MAYBE,
    "scope": ONE,
    "restriction": MAYBE,
    "addresses": MAYBE,
    "code": ANY,
    "note": MAYBE,
    "references": MAYBE,
    "incidents": MAYBE,
    "info": ANY,
}
INFO = {
    "language": MAYBE,
    "category": SOME,
    "event": ONE,
    "responseType": ANY,
    "urgency": ONE,
    "severity": ONE,
    "certainty": ONE,
    "audience": MAYBE,
    "eventCode": ANY,
    "effective": MAYBE,
    "onset": MAYBE,
    "expires": MAYBE,
    "senderName": MAYBE,
    "headline": MAYBE,
    "description": MAYBE,
    "instruction": MAYBE,
    "web": MAYBE,
    "contact": MAYBE,
    "parameter": ANY,
    "resource": ANY,
    "area": ANY,
}
AREA = {"areaDesc": ONE, "polygon": ANY, "circle": ANY, "geocode": ANY, "altitude": MAYBE, "ceiling": MAYBE}
PAIR = {"valueName": ONE, "value": ONE}
WORDS = {
    "status": {"Actual", "Exercise", "System", "Test", "Draft"},
    "msgType": {"Alert", "Update", "Cancel", "Ack", "Error"},
    "scope": {"Public", "Restricted", "Private"},
    "category": {"Geo", "Met", "Safety", "Security", "Rescue", "Fire", "Health", "Env", "Transport", "Infra", "CBRNE", "Other"},
    "responseType": {"Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"},
    "urgency": {"Immediate", "Expected", "Future", "Past", "Unknown"},
    "severity": {"Extreme", "Severe", "Moderate", "Minor", "Unknown"},
    "certainty": {"Observed", "Likely", "Possible", "Unlikely", "Unknown"},
}
FORMS = {
    "identifier": NAME,
    "sender": NAME,
    "sent": TIME,
    "effective": TIME,
    "onset": TIME,
    "expires": TIME,
    "language": LANGUAGE,
    "circle": CIRCLE,
}


def problems(message: bytes) -> list[str]:
    """Return what is wrong with a message."""
    root = ET.fromstring(message)
    if root.tag != f"{NAMESPACE}alert":
        return [f"the root is {root.tag}"]
    return list(_of_alert(root))


def text(root: ET.Element, path: str) -> str:
    """Return the text at a path of plain names."""
    found = root.find("/".join(f"{NAMESPACE}{name}" for name in path.split("/")))
    assert found is not None, path
    return found.text or ""


def texts(root: ET.Element, path: str) -> list[str]:
    return [found.text or "" for found in root.findall("/".join(f"{NAMESPACE}{name}" for name in path.split("/")))]


def _of_alert(root: ET.Element) -> Iterator[str]:
    yield from _of(root, ALERT)
    scope, kind = text(root, "scope"), text(root, "msgType")
    for word, needed in (("Restricted", "restriction"), ("Private", "addresses")):
        if (scope == word) != bool(texts(root, needed)):
            yield f"{needed} stands with the scope {word}, and with no other"
    yield from _of_references(root, kind)
    for info in root.iterfind(f"{NAMESPACE}info"):
        yield from _of(info, INFO)
        for name in ("eventCode", "parameter"):
            for pair in info.iterfind(f"{NAMESPACE}{name}"):
                yield from _of(pair, PAIR)
        for area in info.iterfind(f"{NAMESPACE}area"):
            yield from _of(area, AREA)
            for pair in area.iterfind(f"{NAMESPACE}geocode"):
                yield from _of(pair, PAIR)


def _of_references(root: ET.Element, kind: str) -> Iterator[str]:
    references = [one for found in texts(root, "references") for one in found.split(" ")]
    for one in references:
        sender, _, rest = one.partition(",")
        identifier, _, sent = rest.partition(",")
        if not (NAME.fullmatch(sender) and NAME.fullmatch(identifier) and TIME.fullmatch(sent)):
            yield f"references: {one!r} is no sender,identifier,sent"
        if identifier == text(root, "identifier"):
            yield "a message refers to itself"
    if kind in {"Update", "Cancel", "Ack", "Error"} and not references:
        yield f"{kind} refers to nothing"


def _of(element: ET.Element, allowed: dict[str, tuple[int, int | None]]) -> Iterator[str]:
    if element.attrib:
        yield f"{element.tag}: CAP has no attributes"
    names = [child.tag.removeprefix(NAMESPACE) for child in element]
    order = list(allowed)
    if unknown := [name for name in names if name not in allowed]:
        yield f"{element.tag}: {unknown} are not of it"
        return
    if [order.index(name) for name in names] != sorted(order.index(name) for name in names):
        yield f"{element.tag}: out of order: {names}"
    for name, (least, most) in allowed.items():
        if names.count(name) < least or (most is not None and names.count(name) > most):
            yield f"{element.tag}: {names.count(name)} of {name}"
    for child in element:
        yield from _text(child, child.tag.removeprefix(NAMESPACE))


def _text(child: ET.Element, name: str) -> Iterator[str]:
    said = child.text or ""
    if len(child) == 0 and not said.strip():
        yield f"{name} is empty"
    if name in WORDS and said not in WORDS[name]:
        yield f"{name}: {said!r} is no word of it"
    if name in FORMS and FORMS[name].fullmatch(said) is None:
        yield f"{name}: {said!r} has not its form"
    if FORMS.get(name) is TIME and TIME.fullmatch(said):
        datetime.fromisoformat(said)
