"""Surveys by a link: made with a key, answered without one, once; what is no link, or over, is told in plain words."""

from __future__ import annotations

import base64
import hmac
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.store.surveys import surveys
from recsvc.web import survey_page
from recsvc.web.schemas import SCORES

ASKED = {"customer_id": "c3", "kind": "nps", "about": "o-17"}


def _link(client: Any, **more: Any) -> str:
    reply = client.post("/v1/surveys/links", json={**ASKED, **more})
    assert reply.status_code == 200 and reply.json["path"] == f"/s/{reply.json['token']}"
    return str(reply.json["path"])


def _kept(client: Any) -> list[Any]:
    with client.application.extensions["recsvc"].engine.connect() as connection:
        return list(connection.execute(sa.select(surveys).order_by(surveys.c.occurred_at)))


def _anonymous(client: Any, method: str, path: str, **more: Any) -> Any:
    return client.open(
        path, method=method, headers={"X-API-Key": "", "Accept-Language": more.pop("language", "en")}, **more
    )


class _Buttons(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.scores: list[str] = []
        self.forms: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.forms.append(given)
        if tag == "button":
            assert self.forms and given["name"] == "score"
            self.scores.append(given["value"] or "")


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("language", survey_page.LANGUAGES)
def test_the_page_asks_with_every_score_as_a_button(client: Any, kind: str, language: str) -> None:
    reply = _anonymous(client, "GET", _link(client, kind=kind), language=language)
    low, high = SCORES[kind]
    found = _Buttons(reply.text)
    assert reply.status_code == 200 and found.forms == [{"method": "post"}]
    assert found.scores == [str(score) for score in range(low, high + 1)]
    assert f'<html lang="{language}">' in reply.text and "<script" not in reply.text
    assert "karma" not in reply.text.lower()


def test_nothing_is_loaded_set_or_kept_by_a_browser(client: Any) -> None:
    path = _link(client)
    for reply in (
        _anonymous(client, "GET", path),
        _anonymous(client, "POST", path),
        _anonymous(client, "GET", "/s/none"),
    ):
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
        assert reply.headers["Cache-Control"] == "no-store" and reply.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in reply.headers
        (style,) = re.findall(r"<style>(.*?)</style>", reply.text, re.DOTALL)
        assert style == survey_page._STYLE and "style=" not in reply.text


def test_opening_a_link_with_a_score_stores_nothing_and_offers_it(client: Any) -> None:
    path = _link(client)
    reply = _anonymous(client, "GET", f"{path}?score=9&utm_source=mail")
    assert reply.status_code == 200 and _Buttons(reply.text).scores[0] == "9" and "Send my answer: 9" in reply.text
    for odd in ("11", "-1", "<b>", "٣", ""):
        assert _Buttons(_anonymous(client, "GET", path, query_string={"score": odd}).text).scores[0] == "0"
    assert _anonymous(client, "HEAD", f"{path}?score=9").status_code == 200
    assert _kept(client) == []


def test_an_answer_is_stored_once_for_each_link(client: Any) -> None:
    path = _link(client)
    first = _anonymous(client, "POST", path, data={"score": "3", "comment": " late\r\nagain "})
    again = _anonymous(client, "POST", path, data={"score": "10"})
    assert first.status_code == again.status_code == 200
    assert "reached us" in first.text and "already answered" in again.text
    (row,) = _kept(client)
    assert (row.customer_id, row.kind, row.score, row.channel, row.about) == ("c3", "nps", 3, "email", "o-17")
    assert row.comment == "late\r\nagain"
    client.post("/v1/surveys/links", json=ASKED)
    _anonymous(client, "POST", _link(client, days=31), data={"score": "10"})
    assert len(_kept(client)) == 2


def test_an_unhappy_answer_by_a_link_counts_in_the_balance(client: Any) -> None:
    _anonymous(client, "POST", _link(client, kind="ces"), data={"score": "7"})
    found = client.get("/v1/customers/c3/karma").json
    assert found["karma"] == -3.0 and found["parts"][0]["code"] == "hard_effort"


@pytest.mark.parametrize("score", ["", "11", "-1", "3.0", "nine", "3&score=x"])
def test_what_is_no_score_is_told_and_not_stored(client: Any, score: str) -> None:
    body = f"score={score}".encode()
    reply = _anonymous(client, "POST", _link(client), data=body, content_type="application/x-www-form-urlencoded")
    assert reply.status_code == 400 and "choose one of the numbers" in reply.text and _kept(client) == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b'{"score": 3}', "application/json"), (b"score=3" + b"x" * 20_000, "application/x-www-form-urlencoded"),
     (b"score=%ff", "application/x-www-form-urlencoded"), (b"a&" * 50, "application/x-www-form-urlencoded"),
     (b"score=3&x=1", "application/x-www-form-urlencoded")],
)  # fmt: skip
def test_what_is_no_form_of_the_page_is_told_and_not_stored(client: Any, body: bytes, kind: str) -> None:
    reply = _anonymous(client, "POST", _link(client), data=body, content_type=kind)
    assert reply.status_code == 400 and reply.mimetype == "text/html" and _kept(client) == []


def _forged(path: str) -> list[str]:
    token = path.removeprefix("/s/")
    told, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(told + "=="))
    said[0] = "c4"
    other = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    flipped = ("B" if signature[5] == "A" else "A").join((signature[:5], signature[6:]))
    return [
        f"{other}.{signature}", f"{told}.{flipped}", token[:-1], token[1:], told, f".{signature}", f"{token}.", f"{told}..",
        "x", "." * 50, "é", "a" * 3000, f"{token}/x",
    ]  # fmt: skip


def test_what_is_no_link_of_the_shop_opens_nothing(client: Any) -> None:
    for token in _forged(_link(client)):
        for method in ("GET", "POST"):
            reply = _anonymous(client, method, f"/s/{token}", data={"score": "3"} if method == "POST" else None)
            assert reply.status_code == 404, token
    assert _kept(client) == []


def test_what_is_signed_without_the_purpose_or_with_another_secret_is_no_link(client: Any) -> None:
    told = _link(client).removeprefix("/s/").split(".")[0]
    secret = client.application.extensions["recsvc"].current.snapshot.state.facts.customer_secret
    for key in (secret, bytes(32), b"recsvc survey link 1"):
        signature = base64.urlsafe_b64encode(hmac.digest(key, told.encode(), "sha256")).rstrip(b"=").decode()
        assert _anonymous(client, "GET", f"/s/{told}.{signature}").status_code == 404


def test_a_link_ends(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    path, now = _link(client, days=1), shop.clock()
    for seconds, status in ((86_395, 200), (86_401, 410)):
        object.__setattr__(shop, "clock", lambda at=now + seconds: at)
        assert _anonymous(client, "GET", path).status_code == status
    reply = _anonymous(client, "POST", path, data={"score": "3"})
    assert reply.status_code == 410 and "has ended" in reply.text and _kept(client) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "other"), ("days", 0), ("days", 366), ("customer_id", ""), ("channel", "letter"), ("x", 1)],
)
def test_a_link_is_made_of_what_can_be_asked(client: Any, field: str, value: Any) -> None:
    reply = client.post("/v1/surveys/links", json={**ASKED, field: value})
    assert reply.status_code == 400 and field in reply.json["detail"]


def test_the_longest_ids_make_a_link_that_opens(client: Any) -> None:
    path = _link(client, customer_id="é" * 128, about="/" * 256)
    assert _anonymous(client, "POST", path, data={"score": "0"}).status_code == 200
    assert _kept(client)[0].customer_id == "é" * 128
