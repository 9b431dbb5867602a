"""Channels: through which a customer may be reached now, and why, or why not.

Consent, quiet hours and the contact cap hold for what goes out by itself: e-mail, text message and push. Whoever looks
at the shop's own pages asked for them. Consent that was never given is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

CONTACTS: Final = ("email", "sms", "push")
WEB: Final = "web"
# What stands for "choose one of `CONTACTS`".
BEST: Final = "best"
CAP_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known of how a customer may be reached. observed: channels they use, most first. quiet: (start, end)
    minutes of the day, None for none; start after end runs through midnight. zone: IANA name, None for UTC.
    cap: contacts within `CAP_DAYS` days, None for any number. contacts: how many there were."""

    consent: Mapping[str, bool] = field(default_factory=dict)
    preferred: str | None = None
    observed: Sequence[str] = ()
    quiet: tuple[int, int] | None = None
    zone: str | None = None
    cap: int | None = None
    contacts: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The decision. channel: None where there is none. why: `asked`, `default`, `preferred`, `observed`, `consented`,
    or a refusal's code. consent: whether there is; True for channels that need none. detail: of a refusal."""

    channel: str | None
    why: str
    consent: bool
    code: str | None = None
    detail: str = ""


def decide(asked: str | None, contact: Contact, now: float) -> Reach:
    """Return through which channel a customer is reached at `now` (epoch seconds).

    Args:
        asked: a channel, None for the shop's own page, or `BEST`.
    """
    if asked is None:
        return Reach(WEB, "default", True)
    if asked != BEST and asked not in CONTACTS:
        return Reach(asked, "asked", True)
    if asked == BEST:
        channel, why = _best(contact)
        if channel is None:
            return Reach(None, "no_consent", False, "no_consent", f"no consent to any of {', '.join(CONTACTS)}")
    else:
        channel, why = asked, "asked"
        if not contact.consent.get(asked, False):
            return Reach(asked, "no_consent", False, "no_consent", f"no consent to {asked}")
    assert channel is not None
    if contact.quiet is not None and _within(contact.quiet, minute(contact.zone, now)):
        return Reach(channel, "quiet_hours", True, "quiet_hours", f"quiet hours {_span(contact.quiet)} where they live")
    if contact.cap is not None and contact.contacts >= contact.cap:
        detail = f"{contact.contacts} contacts within {CAP_DAYS} days, at most {contact.cap}"
        return Reach(channel, "contact_cap", True, "contact_cap", detail)
    return Reach(channel, why, True)


def quiet_span(text: str | None) -> tuple[int, int] | None:
    """Return the minutes of the day at which quiet hours as `21:00-08:00` start and end; None for none."""
    if not text:
        return None
    start, _, end = text.partition("-")
    return _minutes(start), _minutes(end)


def local(zone: str | None, now: float) -> datetime:
    """Return the local time of a customer; UTC where the zone is not known to this machine."""
    return datetime.fromtimestamp(now, _zone(zone))


def minute(zone: str | None, now: float) -> int:
    """Return the minute of the customer's day, 0 to 1439."""
    at = local(zone, now)
    return at.hour * 60 + at.minute


def _best(contact: Contact) -> tuple[str | None, str]:
    """Return what the customer stated, else uses most, else consented to."""
    may = [one for one in CONTACTS if contact.consent.get(one, False)]
    if contact.preferred in may:
        return contact.preferred, "preferred"
    for one in contact.observed:
        if one in may:
            return one, "observed"
    return (may[0], "consented") if may else (None, "no_consent")


def _within(span: tuple[int, int], at: int) -> bool:
    start, end = span
    return start <= at < end if start <= end else at >= start or at < end


def _span(span: tuple[int, int]) -> str:
    return "-".join(f"{at // 60:02}:{at % 60:02}" for at in span)


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):
        return UTC
