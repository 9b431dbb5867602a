"""`recsvc warm`: the lists of customers who were active lately, into the cache, as after a publish."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import Progress

from recsvc.app import create_shop
from recsvc.concepts import PLACEMENTS
from recsvc.embedded import serving_at
from recsvc.errors import InvalidRequest
from recsvc.flows.questions import Question
from recsvc.flows.warm import warm as warm_lists
from recsvc.settings import load


def warm(
    customers: Annotated[int, typer.Option(min=1, help="How many of those who did something last.")] = 10_000,
    placement: Annotated[str, typer.Option(help=f"One of {', '.join(PLACEMENTS)}.")] = "home",
    limit: Annotated[int, typer.Option(min=1, max=100, help="Items of each list, as the shop asks for them.")] = 10,
) -> None:
    """Make the lists of customers who were active lately, and leave them in Redis for RECSVC_CACHE_SECONDS."""
    if placement not in PLACEMENTS:
        raise InvalidRequest(f"--placement: {placement}, must be one of {', '.join(PLACEMENTS)}")
    settings = load()
    if not settings.redis_url:
        settings = settings.model_copy(update={"redis_url": serving_at(settings.home) or "off"})
    shop = create_shop(settings.model_copy(update={"redis_timeout_ms": max(1000, settings.redis_timeout_ms)}))
    question = Question(placement=placement, limit=limit)
    try:
        with Progress(transient=True) as progress:
            task = progress.add_task("lists", total=customers)
            found = warm_lists(shop, customers, question, lambda done: progress.update(task, completed=done))
    finally:
        shop.engine.dispose()
    typer.echo(
        f"{found.made:,} lists made, {found.there:,} were there, in {found.seconds:.1f} s; "
        f"{found.bytes_each:,.0f} bytes of Redis per customer"
    )
