"""`recsvc keys`: API keys."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from recsvc.concepts import SCOPES
from recsvc.errors import InvalidRequest
from recsvc.settings import load
from recsvc.store import keys, opening
from recsvc.store.database import MICROSECONDS

app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.callback()
def group() -> None:
    """API keys."""


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for; shown in lists of keys.")] = "storefront",
    scope: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SCOPES)}; repeat it for more.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="Days until it ends; else it does not.")] = None,
    per_second: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Requests a second; else RECSVC_RATE_PER_SECOND.")
    ] = None,
) -> None:
    """Make a key and print it. It is shown this once; only its hash is kept. Without --scope: storefront."""
    if not name.strip():
        raise InvalidRequest("--name: must not be empty; lists of keys show it, and `rotate` asks for it")
    now = datetime.now(UTC)
    ends_at = now + timedelta(days=days) if days else None
    typer.echo(
        keys.create(
            opening.made(load().sql_url), name, now, keys.Terms(tuple(scope or ["storefront"]), ends_at, per_second)
        )
    )


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="The name of the key to follow.")],
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=8760, help="How long the old one stays live beside it.")
    ] = 24,
) -> None:
    """Make a key with the terms of the live one of this name and print it; let the old one end."""
    typer.echo(keys.rotate(opening.existing(load().sql_url), name, datetime.now(UTC), timedelta(hours=overlap_hours)))


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id, as `recsvc keys list` shows it.")]) -> None:
    """End a key now, in every worker."""
    keys.revoke(opening.existing(load().sql_url), key_id, datetime.now(UTC))
    typer.echo(f"{key_id}: revoked")


@app.command("list")
def list_keys(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were revoked or have expired.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Show the keys: never a secret. The day of last use is approximate."""
    found = [_shown(row, time.time()) for row in keys.listing(opening.existing(load().sql_url))]
    found = [one for one in found if everything or one["state"] == "live"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    names = ("key_id", "name", "scopes", "per_second", "created", "expires", "last_used", "state")
    table = Table(*(name.replace("_", " ") for name in names), box=None)
    table.columns[0].min_width = len(found[0]["key_id"]) if found else 0  # one that is cut cannot be revoked
    for one in found:
        one["scopes"] = " ".join(one["scopes"])
        table.add_row(*(str(one[name] or "–") for name in names))
    Console(highlight=False).print(table)


def _shown(row: Any, now: float) -> dict[str, Any]:
    expired = row.expires_at is not None and row.expires_at <= now * MICROSECONDS
    return {
        "key_id": row.key_id, "name": row.name, "scopes": row.scopes.split(), "per_second": row.per_second,
        "created": _minute(row.created_at), "expires": _minute(row.expires_at),
        "last_used": (_minute(row.last_used_at) or "")[:10] or None,
        "state": "revoked" if row.revoked_at else "expired" if expired else "live",
    }  # fmt: skip


def _minute(micro: int | None) -> str | None:
    if micro is None:
        return None
    return datetime.fromtimestamp(micro / MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%MZ")
