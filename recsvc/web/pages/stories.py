"""The page of one offer, as texts and the sizes of its plots. Each plot is also said in words beside it."""

from __future__ import annotations

import json
from typing import Any, Final

from recsvc.flows.offer_story import DAYS

_WIDE, _HIGH = 640, 120
_ROW: Final = 26


def told(story: dict[str, Any]) -> dict[str, Any]:
    """Return what the template puts into place."""
    row = story["row"]
    facts = {
        "kind": row.kind.replace("_", " "), "benefit": row.benefit, "priority": row.priority or None,
        "a customer may claim": row.max_per_customer, "shown at most": row.max_shown,
        "days between": row.cooldown_days, "group": row.exclusive_group,
        "channels": ", ".join(row.channels or []) or None,
        "for whom": None if row.eligibility is None else json.dumps(row.eligibility, ensure_ascii=False),
        "made up": "yes" if (row.attributes or {}).get("invented") else None,
    }  # fmt: skip
    made = sum(sum(count for name, count in day.items() if name != "day") for day in story["days"])
    return {
        "name": row.name, "offer_id": row.offer_id,
        "facts": [(name, value) for name, value in facts.items() if value is not None],
        "limits": [_limit(one) for one in story["limits"]], "days": _days(story["days"]), "made": made, "span": DAYS,
        "asked": story["asked"], "gets": story["gets"], "refused": _refused(story["refused"], story["asked"]),
        "refused_high": max(_ROW * len(story["refused"]), 1),
    }  # fmt: skip


def _limit(one: dict[str, Any]) -> dict[str, Any]:
    share = min(one["used"] / one["limit"], 1.0) if one["limit"] else 1.0
    return {**one, "width": round(_WIDE * share, 1), "said": f"{one['used']:,} of {one['limit']:,} {one['unit']}"}


def _days(days: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a bar for each day: what is held or was redeemed below, what was given back or expired above it."""
    most = max((sum(v for k, v in one.items() if k != "day") for one in days), default=0) or 1
    step, found = _WIDE / len(days), []
    for place, one in enumerate(days):
        kept = (one.get("reserved", 0) + one.get("redeemed", 0)) / most * _HIGH
        gone = (one.get("released", 0) + one.get("expired", 0)) / most * _HIGH
        found.append({
            "x": round(place * step + 2, 1), "width": round(step - 4, 1), "kept": round(kept, 1),
            "kept_y": round(_HIGH - kept, 1), "gone": round(gone, 1), "gone_y": round(_HIGH - kept - gone, 1),
            "said": f"{one['day']}: " + (", ".join(f"{v} {k}" for k, v in one.items() if k != "day") or "none"),
        })  # fmt: skip
    return found


def _refused(given: list[dict[str, Any]], asked: int) -> list[dict[str, Any]]:
    return [
        {"y": place * _ROW, "width": round((_WIDE - 200) * one["count"] / max(asked, 1), 1),
         "code": one["code"].replace("_", " "), "count": one["count"]}
        for place, one in enumerate(given)
    ]  # fmt: skip
