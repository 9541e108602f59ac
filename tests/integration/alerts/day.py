"""A day of a city for alerts: who is on duty, what begins, flaps, storms and is answered, when channels fail, what should come of red warnings.

What should come of it is said here in the plainest way, from the plan and the scenario alone: nothing of alerts' own decisions is used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.command import Acknowledge
from schemas.regions import Level, RegionTree
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from tests.takers import Fault, Takers
from tests.unit.alerts.policies import actor
from tests.unit.gateway.city import name, warning

ZONE = ZoneInfo("Asia/Shanghai")
BEGINS = datetime(2026, 11, 23, 6, tzinfo=ZONE).astimezone(UTC)
"""Two hours before the day shift."""
LENGTH = timedelta(hours=24)
REST = timedelta(hours=4)
"""After the last event, without faults and kills, so that all comes to its end."""
WARNINGS = 2_000
DOMAINS = ("water", "sewage", "dust", "fire")
STEPS = (timedelta(0), timedelta(minutes=15), timedelta(minutes=45), timedelta(minutes=90))
"""Of a red warning: the field team and the desk of its district, the lead and the supervisor of the city."""
BY = (("sms",), ("sms", "webhook"), ("sms",), ("sms", "mail"))
FLOOD = {"most": 10, "per": "PT30M"}
STORMS = ((5.0, 1, "water"), (14.0, 2, "dust"))
"""When (hours), in which district, of what."""
STORM, MORE_THAN = 150, 30
"""So many begin in one, and so many make it one."""
BURST_H, BURST = 9.0, 40
"""So many red ones in one district within twenty minutes: more than a phone may get."""
CREWS = 3
FAULTS = (
    (2.0, 3.0, "sms", Fault.FAIL),
    (4.0, 4.7, "dingtalk", Fault.THROTTLE),
    (5.0, 6.0, "sms", Fault.THROTTLE),
    (7.0, 8.0, "webhook", Fault.DROP),
    (9.0, 9.7, "sms", Fault.DROP),
    (11.0, 12.0, "mail", Fault.FAIL),
    (12.0, 13.0, "sms", Fault.LIE),
    (14.0, 15.0, "dingtalk", Fault.LIE),
    (16.0, 17.0, "mail", Fault.DROP),
    (18.0, 18.7, "dingtalk", Fault.DROP),
    (19.0, 20.0, "sms", Fault.EMPTY),
    (21.0, 22.0, "webhook", Fault.REFUSE),
)
"""From, until (hours), which channel does what."""


@dataclass
class Red:
    """A red warning that is told by itself, and what happens to it."""

    number: int
    district: str
    at: datetime
    answered: datetime | None = None
    over: datetime | None = None
    real: bool = True

    @property
    def ends(self) -> datetime:
        """When nobody has to be told any more; the end of the day when that does not come."""
        return min(one for one in (self.answered, self.over, BEGINS + LENGTH + REST) if one is not None)


@dataclass
class Scenario:
    """All that happens, in order."""

    events: list[tuple[datetime, Warning | Acknowledge]] = field(default_factory=list)
    reds: dict[int, Red] = field(default_factory=dict)
    stormy: set[int] = field(default_factory=set)
    """Those that began in a storm."""
    flapping: set[int] = field(default_factory=set)


class Making:
    """Makes a scenario, the same of each seed."""

    def __init__(self, tree: RegionTree, seed: int) -> None:
        self._dice = random.Random(seed)
        self._streets: dict[str, list[str]] = {}
        for region in tree:
            if region.level is Level.DISTRICT:
                self._streets[region.code] = [one.code for one in tree if region.code in tree.path(one.code) and one.level is Level.STREET]
        self.districts = sorted(self._streets)
        self._made = Scenario()
        self._number = 0

    def scenario(self) -> Scenario:
        """Return it."""
        for index in range(120):
            self._red(self.districts[index % len(self.districts)], self._hour(0, 22))
        for _ in range(BURST):
            self._red(self.districts[3], BURST_H + self._dice.uniform(0, 1 / 3))
        for hour, district, domain in STORMS:
            self._storm(hour, self.districts[district], domain)
        for _ in range(40):
            self._flaps()
        for _ in range(60):
            self._red(self._dice.choice(self.districts), self._hour(0, 22), real=False)
        while self._number < WARNINGS:
            self._mild()
        self._made.events.sort(key=lambda event: event[0])
        return self._made

    def _red(self, district: str, hour: float, *, real: bool = True) -> None:
        number, street, domain = self._next(), self._street(district), self._calm(district, hour)
        about = {"street": street, "domain": domain, "origin": "real" if real else "simulated"}
        at, rev = self._at(hour), 1
        if self._dice.random() < 0.2:  # it was yellow at first, and somebody says that he has seen that, too late
            before = at - timedelta(minutes=self._dice.uniform(1, 20))
            self._tell(before, number, 1, Tier.YELLOW, **about)
            self._answer(at + timedelta(minutes=1), number, 1, Tier.YELLOW, street)
            rev = 2
        self._tell(at, number, rev, Tier.RED, **about)
        red = self._made.reds[number] = Red(number, district, at, real=real)
        fate = self._dice.random()
        if fate < 0.45:
            red.answered = at + timedelta(minutes=self._dice.uniform(2, 120))
            self._answer(red.answered, number, rev, Tier.RED, street)
        elif fate < 0.7:
            red.over = at + timedelta(minutes=self._dice.uniform(1, 150))
            self._tell(red.over, number, rev + 1, Tier.RED, state="cleared", **about)

    def _storm(self, hour: float, district: str, domain: str) -> None:
        for index in range(STORM):
            number, at = self._next(), self._at(hour + self._dice.uniform(0, 8 / 60))
            tier = Tier.RED if index % 30 == 29 else self._dice.choice((Tier.YELLOW, Tier.ORANGE))
            about = {"street": self._street(district), "domain": domain}
            self._tell(at, number, 1, tier, **about)
            self._tell(at + timedelta(minutes=self._dice.uniform(30, 240)), number, 2, tier, state="cleared", **about)
            self._made.stormy.add(number)

    def _flaps(self) -> None:
        number, at = self._next(), self._at(self._hour(0, 21))
        about = {"street": self._street(self._dice.choice(self.districts)), "domain": self._dice.choice(DOMAINS)}
        for rev in range(1, 25):
            self._tell(at, number, rev, Tier.ORANGE, state="open" if rev % 2 else "cleared", **about)
            at += timedelta(minutes=self._dice.uniform(0.5, 4))
        self._made.flapping.add(number)

    def _mild(self) -> None:
        number, at = self._next(), self._at(self._hour(0, 23))
        tier = self._dice.choices((Tier.BLUE, Tier.YELLOW, Tier.ORANGE), (60, 30, 10))[0]
        about = {"street": self._street(self._dice.choice(self.districts)), "domain": self._dice.choice(DOMAINS)}
        self._tell(at, number, 1, tier, **about)
        self._tell(at + timedelta(minutes=self._dice.uniform(0.5, 240)), number, 2, tier, state="cleared", **about)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _hour(self, least: float, most: float) -> float:
        return self._dice.uniform(least + 0.5, most)

    def _at(self, hour: float) -> datetime:
        return BEGINS + timedelta(hours=hour)

    def _street(self, district: str) -> str:
        return self._dice.choice(self._streets[district])

    def _calm(self, district: str, hour: float) -> str:
        """Return a domain in which there is no storm then."""
        stormy = {domain for begins, at, domain in STORMS if self.districts[at] == district and begins - 0.5 <= hour <= begins + 1.5}
        return self._dice.choice([domain for domain in DOMAINS if domain not in stormy])

    def _tell(self, at: datetime, number: int, rev: int, tier: Tier, **about: Any) -> None:
        one = {"subject": f"s{number}/m", "sensor": f"s{number}", "sensor_name": name(f"s{number}"), "began_at": at, "changed_at": at}
        if about.get("state") == "cleared":
            one["cleared_at"] = at
        self._made.events.append((at, warning(number, rev, tier=tier, peak=tier, **one, **about)))

    def _answer(self, at: datetime, number: int, rev: int, tier: Tier, street: str) -> None:
        seen = {"warning": UUID(int=number), "street": street, "department": "d", "seen_rev": rev, "tier": tier}
        command = Acknowledge(id=UUID(int=1 << 80 | number << 8 | rev), actor=actor(), at=at, **seen)
        self._made.events.append((at, command))


# Who is told


def policy(takers: Takers, districts: list[str]) -> dict[str, Any]:
    """Return the day's `alerting.yaml`."""
    both = {"zh": "值班", "en": "duty"}
    sms = {
        "url": f"{takers.url}/sms/send",
        "json_body": {"to": "{{ address }}", "text": "{{ text }}", "key": "{{ key }}"},
        "answered": {"path": ["code"], "equals": ["OK"]},
        "key": True,
    }
    hook = {
        "url": f"{takers.url}/hook/{{{{ address }}}}",
        "headers": {"Idempotency-Key": "{{ key }}"},
        "json_body": {"title": "{{ title }}", "message": "{{ text }}"},
        "key": True,
    }
    mail = f"mailto://127.0.0.1:{takers.smtp_port}?mode=insecure&from=tongguan@example.org&to={{{{ address }}}}"
    channels: list[dict[str, Any]] = [
        {"id": "sms", "kind": "http", "request": sms},
        {"id": "webhook", "kind": "http", "request": hook},
        {"id": "mail", "kind": "apprise", "url": mail},
        {"id": "dingtalk", "kind": "apprise", "url": "dingtalk://{{ secret.token }}", "endpoint": takers.url, "group": True},
    ]
    told = [({"role": "field", "level": "district"}, "district"), ({"role": "desk", "level": "district"}, "district")]
    told += [({"role": "lead", "level": "city"}, "city"), ({"role": "supervisor", "level": "city"}, "city")]
    red = [
        {"after": after.total_seconds(), "tell": [{"screen": screen}, target], "channels": list(by)}
        for after, (target, screen), by in zip(STEPS, told, BY, strict=True)
    ]
    shown = [{"after": 0, "tell": [{"screen": "street"}]}]
    begins = BEGINS.astimezone(ZONE).date().isoformat()
    shifts = [{"name": both, "since": "08:00", "until": "20:00"}, {"name": both, "since": "20:00", "until": "08:00"}]
    rotation = {"shifts": shifts, "turn": "shift", "begins": "2026-11-22"}
    assert begins == "2026-11-23"
    return {
        "routes": {
            "id": "all",
            "group_by": ["street", "domain"],
            "wait": "PT2M",
            "interval": "PT10M",
            "urgent": "red",
            "escalation": "duty",
            "routes": [{"id": "red", "match": {"tiers": ["red"]}, "group_by": ["subject"], "wait": 0}],
        },
        "escalations": [
            {
                "id": "duty",
                "plans": {
                    "red": {"steps": red, "repeat": "PT3H"},
                    "orange": {"steps": [{"after": 0, "tell": [{"screen": "street"}, {"chat": "dingtalk"}]}], "answer": False},
                    "yellow": {"steps": shown, "answer": False},
                },
            },
            {
                "id": "storm",
                "plans": {
                    "red": {
                        "steps": [
                            {"after": 0, "tell": [{"screen": "district"}, told[1][0]], "channels": ["sms"]},
                            {"after": "PT30M", "tell": [{"screen": "city"}, told[3][0]], "channels": ["sms"]},
                        ]
                    }
                },
            },
        ],
        "storms": [{"id": "area", "more_than": MORE_THAN, "within": "PT10M", "calm": "PT20M", "interval": "PT10M", "escalation": "storm"}],
        "people": [{"id": one, "name": both} for one in people(districts)],
        "teams": [
            *(
                {
                    "id": f"field-{one}",
                    "name": both,
                    "region": one,
                    "role": "field",
                    "rotations": [{**rotation, "crews": [[f"field-{one}-{n}"] for n in range(CREWS)]}],
                }
                for one in districts
            ),
            *({"id": f"desk-{one}", "name": both, "region": one, "role": "desk", "always": [f"desk-{one}"]} for one in districts),
            *({"id": one, "name": both, "region": "620100", "role": one, "always": [one]} for one in ("lead", "supervisor")),
        ],
        "channels": [
            {**one, "name": both, "flood": FLOOD, "timeout": 20, "give_up": "PT6H", "bucket": {"most": 20, "per": "PT1M"}} for one in channels
        ],
        "wordings": [{"language": "zh", "text": "{{ default }} #{{ message.alert }}.{{ message.number }}.{{ why }}#"}],
        "lead": "lead",
        "lead_channels": ["sms"],
    }


def people(districts: list[str]) -> list[str]:
    """Return all who may be on duty."""
    return [
        *(f"field-{one}-{n}" for one in districts for n in range(CREWS)),
        *(f"desk-{one}" for one in districts),
        "lead",
        "supervisor",
    ]


def contacts(districts: list[str]) -> dict[str, Any]:
    """Return the day's `contacts.yaml`: the addresses of somebody are their name and the channel's."""
    told = {one: {"sms": f"sms-{one}", "webhook": f"webhook-{one}", "mail": f"mail-{one}@example.org"} for one in people(districts)}
    return {"people": told, "channels": {"dingtalk": {"secret": {"token": "t0kent0ken"}}}}


def on_duty(district: str, at: datetime) -> str:
    """Return who of a district's field team is on duty: the turns since 2026-11-22 08:00, one every twelve hours."""
    turns = (at - datetime(2026, 11, 22, 8, tzinfo=ZONE)) // timedelta(hours=12)
    return f"field-{district}-{turns % CREWS}"


def step_recipients(red: Red, step: int, at: datetime) -> Iterator[tuple[str, str]]:
    """Yield (person, channel) of those whom a step tells that is taken at a time."""
    who = (on_duty(red.district, at), f"desk-{red.district}", "lead", "supervisor")[step]
    for channel in BY[step]:
        yield who, channel


def due_steps(red: Red, slack: timedelta) -> tuple[set[int], set[int]]:
    """Return the steps of a red warning that must have been taken, and those that may have been."""
    must = {step for step, after in enumerate(STEPS) if red.at + after + slack < red.ends}
    may = {step for step, after in enumerate(STEPS) if red.at + after <= red.ends + slack}
    return must, may
