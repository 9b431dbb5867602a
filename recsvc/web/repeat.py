"""Buy again over HTTP."""

from __future__ import annotations

from flask import Response
from pydantic import Field

from recsvc.flows import repeat
from recsvc.web.contract import Route, read_query
from recsvc.web.lists import reply, shop
from recsvc.web.outputs import BuyAgainReply
from recsvc.web.schemas import Fraction, In, Limit, WithinDays


class BuyAgainQuery(In):
    """Parameters of buy-again."""

    limit: Limit = 10
    within_days: WithinDays = repeat.WITHIN_DAYS
    min_p: Fraction = Field(repeat.MIN_P, description="The least chance with which an item is listed.")


def buy_again(customer_id: str) -> Response:
    """Answer what to buy again."""
    query = read_query(BuyAgainQuery)
    return reply(repeat.buy_again(shop(), customer_id, query.limit, query.within_days, query.min_p))


ROUTES = [
    Route("GET", "/v1/customers/{customer_id}/buy-again", "What a customer bought before and is likely to want now",
          buy_again, scope="storefront", query=BuyAgainQuery, reply=BuyAgainReply),
]  # fmt: skip
