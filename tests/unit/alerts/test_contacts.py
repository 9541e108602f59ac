"""Addresses and secrets: read, and never printed."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from schemas.alerting import Alerting
from services.alerts import contacts
from services.kit.errors import Misconfigured

PHONE, TOKEN = "+8613812345678", "t0psecret"
GOOD = f"""
people:
  wang: {{sms: "{PHONE}", mail: wang@example.org}}
channels:
  sms: {{secret: {{token: {TOKEN}}}}}
"""


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "contacts.yaml"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_addresses_and_secrets_are_found_by_channel(tmp_path):
    found = contacts.load(written(tmp_path, GOOD))
    assert found.addresses("wang") == {"sms": PHONE, "mail": "wang@example.org"}
    assert found.secret("sms") == {"token": TOKEN}
    assert (found.addresses("li"), found.secret("mail")) == ({}, {})


def test_without_a_file_nobody_has_an_address():
    assert contacts.load(None).addresses("wang") == {}


def test_an_empty_file_is_one_without_addresses(tmp_path):
    assert contacts.load(written(tmp_path, "# nobody yet\n")) == contacts.Contacts()


def test_nothing_of_it_stands_in_a_repr(tmp_path):
    found = contacts.load(written(tmp_path, GOOD))
    for shown in (repr(found), str(found), repr(found.channels["sms"])):
        assert PHONE not in shown
        assert TOKEN not in shown


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"people: {{wang: {{sms: {PHONE}}}}}", "people/wang/sms: must be text: put it in quotes"),
        (f"people: {{wang: {PHONE}}}", "people/wang: "),
        (f"channels: {{sms: {{token: {TOKEN}}}}}", "channels/sms/token: "),
        (f"people: {{wang: [{PHONE}\n", "is not YAML"),
        (f'people: {{wang: {{sms: "{PHONE}\\n{PHONE}"}}}}', "people/wang/sms: "),
        (f"people: {{wang: {{sms: *a{TOKEN}}}}}", "is not YAML"),
    ],
)
def test_what_is_wrong_is_told_by_its_place_alone(tmp_path, text, place):
    with pytest.raises(Misconfigured) as told:
        contacts.load(written(tmp_path, text))
    assert place in str(told.value)
    for secret in (PHONE, PHONE.removeprefix("+"), TOKEN):
        assert secret not in str(told.value)
    assert told.value.__cause__ is None


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Misconfigured, match="cannot be read"):
        contacts.load(tmp_path / "contacts.yaml")


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_may_read_is_told_in_the_log(tmp_path, mode, told):
    with structlog.testing.capture_logs() as lines:
        contacts.load(written(tmp_path, GOOD, mode))
    assert [line["event"] for line in lines] == ["contacts_open_to_others"] * told
    assert PHONE not in str(lines)


def test_who_stands_in_no_alerting_is_told():
    alerting = Alerting.model_validate(
        {
            "routes": {"id": "root", "group_by": ["warning"], "wait": 0, "interval": 60, "escalation": "all"},
            "escalations": [{"id": "all", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "city"}]}]}}}],
            "people": [{"id": "wang", "name": {"zh": "王", "en": "Wang"}}],
            "channels": [{"id": "sms", "name": {"zh": "短信", "en": "SMS"}, "kind": "apprise", "url": "json://x"}],
        }
    )
    found = contacts.Contacts.model_validate({"people": {"wang": {"smss": "1"}, "wnag": {"sms": "1"}}, "channels": {"sms": {}, "mail": {}}})
    assert found.strangers(alerting) == ("person wnag", "channel mail", "channel smss")
