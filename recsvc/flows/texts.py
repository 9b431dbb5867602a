"""Reasons in words, in the languages of shops: en, pt, ro. What is named, as a title or a category, stays as the shop
wrote it.

Portuguese is worded so that it reads well in Portugal and in Brazil. No sentence agrees with a title in number or
gender, since nobody knows these of a title.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from recsvc.concepts import Reason

DEFAULT: Final = "en"
# What one code is called where its own words would say too little; a key of `TEXTS` beside the codes.
LIKE_YOU, ALSO_BOUGHT, POPULAR_IN, BESTSELLER_IN, RISING_IN, OFFER_FALLBACK = (
    "like_you", "also_bought", "popular_in", "bestseller_in", "rising_in", "offer_fallback",
)  # fmt: skip
_ONCE, _TIMES, _WHOLE_SHOP = "bought_once", "bought_times", "whole_shop"

TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        Reason.BECAUSE_BOUGHT: "Because you bought {title}",
        Reason.BECAUSE_VIEWED: "Because you showed interest in {title}",
        Reason.BOUGHT_TOGETHER: "Often bought together with {title}",
        Reason.DUE_AGAIN: "You bought this before",
        Reason.TRENDING_IN: "Popular now in {category}",
        Reason.NEW_IN: "New in {category}",
        Reason.OFFER_FIT: "You buy {title}",
        Reason.FALLBACK: "Popular with other customers",
        Reason.PROMOTED: "Picked by the shop",
        Reason.EXPLORATION: "Something different to discover",
        LIKE_YOU: "Customers like you buy this",
        ALSO_BOUGHT: "Customers of {title} also buy this",
        POPULAR_IN: "Popular in {category}",
        BESTSELLER_IN: "Bestseller in {category}",
        RISING_IN: "Trending in {category}",
        OFFER_FALLBACK: "On what other customers buy",
        _ONCE: "You bought this on {day}",
        _TIMES: "You bought this {times}, last on {day}",
        _WHOLE_SHOP: "the shop",
    },
    "pt": {
        Reason.BECAUSE_BOUGHT: "Porque comprou {title}",
        Reason.BECAUSE_VIEWED: "Porque mostrou interesse em {title}",
        Reason.BOUGHT_TOGETHER: "Muitas vezes na mesma compra que {title}",
        Reason.DUE_AGAIN: "Já comprou isto antes",
        Reason.TRENDING_IN: "Popular agora em {category}",
        Reason.NEW_IN: "Novidade em {category}",
        Reason.OFFER_FIT: "Costuma comprar {title}",
        Reason.FALLBACK: "Popular entre outros clientes",
        Reason.PROMOTED: "Escolha da loja",
        Reason.EXPLORATION: "Algo diferente para descobrir",
        LIKE_YOU: "Clientes com gostos parecidos compram isto",
        ALSO_BOUGHT: "Quem compra {title} também compra isto",
        POPULAR_IN: "Popular em {category}",
        BESTSELLER_IN: "Entre os mais vendidos em {category}",
        RISING_IN: "Vende cada vez mais em {category}",
        OFFER_FALLBACK: "Com base no que outros clientes compram",
        _ONCE: "Comprou isto em {day}",
        _TIMES: "Comprou isto {times}, a última em {day}",
        _WHOLE_SHOP: "toda a loja",
    },
    "ro": {
        Reason.BECAUSE_BOUGHT: "Pentru că ați cumpărat {title}",
        Reason.BECAUSE_VIEWED: "Pentru că v-ați arătat interesul pentru {title}",
        Reason.BOUGHT_TOGETHER: "Se cumpără des împreună cu {title}",
        Reason.DUE_AGAIN: "Ați mai cumpărat acest produs",
        Reason.TRENDING_IN: "Popular acum în {category}",
        Reason.NEW_IN: "Noutate în {category}",
        Reason.OFFER_FIT: "Obișnuiți să cumpărați {title}",
        Reason.FALLBACK: "Popular printre alți clienți",
        Reason.PROMOTED: "Ales de magazin",
        Reason.EXPLORATION: "Ceva diferit de descoperit",
        LIKE_YOU: "Clienții cu gusturi asemănătoare cumpără acest produs",
        ALSO_BOUGHT: "Cine cumpără {title} cumpără și acest produs",
        POPULAR_IN: "Popular în {category}",
        BESTSELLER_IN: "Printre cele mai vândute produse din {category}",
        RISING_IN: "Se vinde tot mai bine în {category}",
        OFFER_FALLBACK: "Pe baza a ceea ce cumpără alți clienți",
        _ONCE: "Ați cumpărat acest produs pe {day}",
        _TIMES: "Ați cumpărat acest produs de {times}, ultima dată pe {day}",
        _WHOLE_SHOP: "magazin",
    },
}
LOCALES: Final = tuple(TEXTS)

_MONTHS: Final = {
    "en": "January February March April May June July August September October November December",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "ro": "ianuarie februarie martie aprilie mai iunie iulie august septembrie octombrie noiembrie decembrie",
}
_DAY: Final = {"en": "{day} {month} {year}", "pt": "{day} de {month} de {year}", "ro": "{day} {month} {year}"}


def language(locale: str | None) -> str:
    """Return the language of `LOCALES` for a BCP-47 tag, as `pt` for `pt-BR`; `en` for None and for all others."""
    first = (locale or DEFAULT).replace("_", "-").partition("-")[0].lower()
    return first if first in TEXTS else DEFAULT


def say(name: str, locale: str | None = None, title: str = "", category: str = "") -> str:
    """Return the words of a reason.

    Args:
        name: a reason's code, or another key of `TEXTS`.
        locale: as in `language`.
        title: of the item that is cited.
        category: of the item that is shown; empty for the whole shop.
    """
    texts = TEXTS[language(locale)]
    return texts[name].format(title=title, category=category or texts[_WHOLE_SHOP])


def say_bought(orders: int, last_at: float, locale: str | None = None) -> str:
    """Return how often and when something was bought; `last_at` is epoch seconds, the day is that of UTC."""
    spoken = language(locale)
    texts, day = TEXTS[spoken], _day(last_at, spoken)
    return texts[_TIMES if orders > 1 else _ONCE].format(times=_times(orders, spoken), day=day)


def _times(count: int, spoken: str) -> str:
    """Return "37 times" for a count of two and more."""
    if spoken == "pt":
        return f"{count} vezes"
    if spoken == "ro":  # counts that end in 20 to 99 or in 00 take a preposition
        return f"{count} ori" if 1 <= count % 100 <= 19 else f"{count} de ori"
    return f"{count} times"


def _day(at: float, spoken: str) -> str:
    date = datetime.fromtimestamp(int(at), UTC).date()
    return _DAY[spoken].format(day=date.day, month=_MONTHS[spoken].split()[date.month - 1], year=date.year)


def creative(given: dict[str, str] | None, locale: str | None) -> str | None:
    """Return the text of an offer in a language: that of the whole tag, of its language, of the default, else any."""
    if not given:
        return None
    wanted = (locale or DEFAULT).replace("_", "-").lower()
    by_tag = {tag.replace("_", "-").lower(): text for tag, text in sorted(given.items())}
    for tag in (wanted, wanted.partition("-")[0]):
        if tag in by_tag:
            return by_tag[tag]
    same = [text for tag, text in by_tag.items() if tag.partition("-")[0] == wanted.partition("-")[0]]
    return same[0] if same else by_tag.get(DEFAULT, next(iter(by_tag.values())))
