"""Channels: consent first, then what was stated, then what was observed; quiet hours and the cap in local time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recsvc.engine import channels
from recsvc.engine.channels import Contact, decide, quiet_span

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
ALL = {"email": True, "sms": True, "push": True}


@pytest.mark.parametrize(
    ("asked", "contact", "channel", "why"),
    [
        (None, {}, "web", "default"), ("store", {}, "store", "asked"), ("email", {}, "email", "no_consent"),
        ("email", {"consent": {"email": False}}, "email", "no_consent"), ("email", {"consent": ALL}, "email", "asked"),
        ("best", {"consent": ALL, "preferred": "push", "observed": ["sms"]}, "push", "preferred"),
        ("best", {"consent": {"sms": True}, "preferred": "push", "observed": ["email", "sms"]}, "sms", "observed"),
        ("best", {"consent": {"sms": True}}, "sms", "consented"), ("best", {}, None, "no_consent"),
        ("best", {"consent": ALL, "preferred": "store"}, "email", "consented"),
        ("email", {"consent": ALL, "cap": 2, "contacts": 2}, "email", "contact_cap"),
        ("email", {"consent": ALL, "cap": 2, "contacts": 1}, "email", "asked"),
        ("web", {"cap": 0}, "web", "asked"), ("email", {"consent": ALL, "cap": 0}, "email", "contact_cap"),
        ("email", {"consent": ALL, "quiet": quiet_span("11:30-12:30")}, "email", "quiet_hours"),
        ("email", {"consent": ALL, "quiet": quiet_span("11:00-12:00")}, "email", "asked"),
        ("email", {"consent": ALL, "quiet": quiet_span("21:00-08:00"), "zone": "Asia/Tokyo"}, "email", "quiet_hours"),
        ("email", {"consent": ALL, "quiet": quiet_span("21:00-08:00"), "zone": "Nowhere/At-all"}, "email", "asked"),
        ("email", {"consent": ALL, "quiet": quiet_span("12:30-13:30"), "zone": "Europe/Lisbon"}, "email", "quiet_hours"),
    ],
)  # fmt: skip
def test_a_channel_is_decided_with_its_reason(
    asked: str | None, contact: dict[str, Any], channel: str, why: str
) -> None:
    found = decide(asked, Contact(**contact), NOON)
    assert (found.channel, found.why) == (channel, why)
    assert (found.code is not None) == (why in {"no_consent", "quiet_hours", "contact_cap"})
    assert found.consent == (why != "no_consent")


def test_quiet_hours_end_with_the_minute() -> None:
    contact = Contact(consent=ALL, quiet=quiet_span("11:00-12:00"))
    assert decide("sms", contact, NOON - 1).why == "quiet_hours" and decide("sms", contact, NOON).why == "asked"
    assert quiet_span(None) is None and channels.minute("Europe/Lisbon", NOON) == 13 * 60
