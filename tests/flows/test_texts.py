"""Reasons in words: every code in every language, counted and dated as people there do."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from recsvc.concepts import REASONS
from recsvc.flows import texts

AT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("locale", texts.LOCALES)
def test_every_code_has_words_and_no_placeholder_is_left(locale: str) -> None:
    assert set(texts.TEXTS[locale]) == set(texts.TEXTS["en"]) >= {code.value for code in REASONS}
    said = {name: texts.say(name, locale, "Tea", "Drinks") for name in REASONS}
    said |= {f"{orders}": texts.say_bought(orders, AT, locale) for orders in (1, 2, 37)}
    for name, text in said.items():
        assert text and not re.search(r"[{}]|\s\s|^\s|\s$", text), name
        assert text[0].isupper() and text[-1] != ".", name


@pytest.mark.parametrize("locale", texts.LOCALES)
def test_a_sentence_names_the_same_in_every_language(locale: str) -> None:
    for name, text in texts.TEXTS["en"].items():
        assert re.findall(r"{\w+}", texts.TEXTS[locale][name]) == re.findall(r"{\w+}", text), name


def test_a_title_may_hold_braces_and_an_item_may_be_in_no_category() -> None:
    assert texts.say("because_bought", "en", "{day} {0} cream") == "Because you bought {day} {0} cream"
    assert texts.say("trending_in", "ro") == "Popular acum în magazin"
    assert texts.say("trending_in", "pt") == "Popular agora em toda a loja"


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        (1, "Ați cumpărat acest produs pe 1 martie 2026"),
        (2, "Ați cumpărat acest produs de 2 ori, ultima dată pe 1 martie 2026"),
        (19, "Ați cumpărat acest produs de 19 ori, ultima dată pe 1 martie 2026"),
        (20, "Ați cumpărat acest produs de 20 de ori, ultima dată pe 1 martie 2026"),
        (37, "Ați cumpărat acest produs de 37 de ori, ultima dată pe 1 martie 2026"),
        (100, "Ați cumpărat acest produs de 100 de ori, ultima dată pe 1 martie 2026"),
        (101, "Ați cumpărat acest produs de 101 ori, ultima dată pe 1 martie 2026"),
        (120, "Ați cumpărat acest produs de 120 de ori, ultima dată pe 1 martie 2026"),
    ],
)
def test_romanian_counts(orders: int, words: str) -> None:
    assert texts.say_bought(orders, AT, "ro") == words


def test_portuguese_and_english_counts() -> None:
    assert texts.say_bought(1, AT, "pt-PT") == "Comprou isto em 1 de março de 2026"
    assert texts.say_bought(37, AT, "pt-BR") == "Comprou isto 37 vezes, a última em 1 de março de 2026"
    assert texts.say_bought(1, AT) == "You bought this on 1 March 2026"
    assert texts.say_bought(2, AT, "en-GB") == "You bought this 2 times, last on 1 March 2026"


def test_romanian_is_written_with_its_own_letters() -> None:
    words = "".join(texts.TEXTS["ro"].values())
    assert set("șțăâî") <= set(words) and not set("şţŞŢ") & set(words)  # comma below, not cedilla


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        (None, "en"), ("", "en"), ("pt", "pt"), ("pt-BR", "pt"), ("PT_pt", "pt"), ("ro-MD", "ro"), ("ro-Latn-RO", "ro"),
        ("de-DE", "en"), ("ptx", "en"), ("-", "en"), ("en-US", "en"),
    ],
)  # fmt: skip
def test_a_language_we_do_not_speak_is_answered_in_english(locale: str | None, language: str) -> None:
    assert texts.language(locale) == language
