"""The page of a survey, as text: one question, its answers as buttons. It works without scripts, in en, pt and ro.

Nothing of what a caller sent is written into it but a score that was found to be one.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from recsvc.web.schemas import SCORES

LANGUAGES: Final = ("en", "pt", "ro")
_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; font: 17px/1.5 system-ui, sans-serif; background: #f6f5f1; color: #20242a; }
main { max-width: 34rem; margin: 0 auto; padding: 2rem 1.25rem; }
h1 { font-size: 1.4rem; line-height: 1.3; }
.answers { display: flex; flex-wrap: wrap; gap: .5rem; }
button { font: inherit; min-width: 2.9rem; min-height: 2.9rem; padding: .4rem .8rem; border-radius: .5rem;
  cursor: pointer; border: 1px solid #5a626d; background: #fff; color: #20242a; }
button.chosen { background: #1d6b52; border-color: #1d6b52; color: #fff; }
:focus-visible { outline: 3px solid #1d6b52; outline-offset: 2px; }
.ends { display: flex; justify-content: space-between; gap: 1rem; color: #5a626d; font-size: .9rem; }
label, textarea { display: block; width: 100%; box-sizing: border-box; font: inherit; }
textarea { margin: .3rem 0 0; padding: .5rem; border: 1px solid #5a626d; border-radius: .5rem;
  background: #fff; color: #20242a; }
@media (prefers-color-scheme: dark) {
  body { background: #15171a; color: #e9e7e2; }
  button, textarea { background: #1e2125; color: #e9e7e2; border-color: #a7aeb8; }
  button.chosen { background: #7fd1b2; border-color: #7fd1b2; color: #10231c; }
  .ends { color: #a7aeb8; }
}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_TEXTS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "nps": "How likely are you to recommend us to a friend?", "nps_low": "Not likely", "nps_high": "Very likely",
        "csat": "How satisfied are you?", "csat_low": "Very dissatisfied", "csat_high": "Very satisfied",
        "ces": "How hard was it to get what you needed?", "ces_low": "Very easy", "ces_high": "Very hard",
        "title": "Your opinion", "comment": "Anything you want to add first? (optional)",
        "send": "Send my answer: {score}",
        "or": "Or choose another:",
        "thanks": "Thank you", "kept": "Your answer has reached us.",
        "again": "You had already answered, and that answer counts.",
        "unknown": "This link is not complete",
        "unknown_more": "Please open it once more from the e-mail, or copy it from there whole.",
        "over": "This survey has ended",
        "over_more": "Thank you all the same. If something is wrong, please write to us.",
        "wrong": "That was no answer", "wrong_more": "Please go back and choose one of the numbers.",
        "away": "We could not keep your answer just now", "away_more": "Please try again in a minute.",
    },
    "pt": {
        "nps": "Recomendaria a nossa loja a um amigo?", "nps_low": "Nada provável", "nps_high": "Muito provável",
        "csat": "Qual é o seu grau de satisfação?", "csat_low": "Nada satisfatório", "csat_high": "Muito satisfatório",
        "ces": "Foi difícil conseguir o que precisava?", "ces_low": "Muito fácil", "ces_high": "Muito difícil",
        "title": "A sua opinião", "comment": "Quer acrescentar algo antes? (opcional)",
        "send": "Enviar a resposta: {score}",
        "or": "Ou escolha outra:",
        "thanks": "Muito agradecemos", "kept": "A sua resposta chegou até nós.",
        "again": "Já tinha respondido, e essa resposta conta.",
        "unknown": "Este link não está completo",
        "unknown_more": "Abra-o de novo a partir do e-mail, ou copie-o de lá por inteiro.",
        "over": "Este inquérito terminou", "over_more": "Agradecemos na mesma. Se algo não está bem, escreva-nos.",
        "wrong": "Isso não foi uma resposta", "wrong_more": "Volte atrás e escolha um dos números.",
        "away": "Não foi possível guardar a sua resposta", "away_more": "Tente de novo daqui a um minuto.",
    },
    "ro": {
        "nps": "Cât de probabil este să ne recomandați unui prieten?", "nps_low": "Deloc probabil",
        "nps_high": "Foarte probabil",
        "csat": "Cât de mulțumit sunteți?", "csat_low": "Foarte nemulțumit", "csat_high": "Foarte mulțumit",
        "ces": "Cât de greu a fost să obțineți ce aveați nevoie?", "ces_low": "Foarte ușor", "ces_high": "Foarte greu",
        "title": "Părerea dumneavoastră", "comment": "Doriți să adăugați ceva înainte? (opțional)",
        "send": "Trimit răspunsul: {score}", "or": "Sau alegeți altul:",
        "thanks": "Vă mulțumim", "kept": "Răspunsul dumneavoastră a ajuns la noi.",
        "again": "Ați răspuns deja, iar acel răspuns contează.",
        "unknown": "Acest link nu este complet",
        "unknown_more": "Deschideți-l încă o dată din e-mail sau copiați-l de acolo în întregime.",
        "over": "Acest sondaj s-a încheiat",
        "over_more": "Vă mulțumim oricum. Dacă ceva nu este în regulă, scrieți-ne.",
        "wrong": "Acesta nu a fost un răspuns", "wrong_more": "Mergeți înapoi și alegeți unul dintre numere.",
        "away": "Nu am putut păstra răspunsul acum", "away_more": "Încercați din nou peste un minut.",
    },
}  # fmt: skip


def question(kind: str, chosen: int | None, language: str) -> str:
    """Return the page that asks: all scores of the question as buttons of one form; with a score that the link itself
    brought, first a button that sends it. Opening the page stores nothing."""
    say = _TEXTS[language]
    low, high = SCORES[kind]
    buttons = "\n".join(
        f'<button name="score" value="{score}"{_CHOSEN if score == chosen else ""}>{score}</button>'
        for score in range(low, high + 1)
    )
    first = ""
    if chosen is not None:
        send = say["send"].format(score=chosen)
        first = f'<p><button name="score" value="{chosen}" class="chosen">{send}</button></p>\n<p>{say["or"]}</p>\n'
    words = f'<textarea name="comment" rows="3" maxlength="{MOST_COMMENT}"></textarea>'
    ends = f"<span>{low}: {say[kind + '_low']}</span><span>{high}: {say[kind + '_high']}</span>"
    return _page(
        language, say["title"],
        f'<h1 id="q">{say[kind]}</h1>\n<form method="post">\n<p><label>{say["comment"]}{words}</label></p>\n{first}'
        f'<div class="answers" role="group" aria-labelledby="q">\n{buttons}\n</div>\n'
        f'<p class="ends">{ends}</p>\n</form>',
    )  # fmt: skip


def said(head: str, text: str, language: str) -> str:
    """Return a page that says one thing: `head` and `text` are keys of the texts."""
    say = _TEXTS[language]
    return _page(language, say[head], f"<h1>{say[head]}</h1>\n<p>{say[text]}</p>")


MOST_COMMENT: Final = 2000
_CHOSEN: Final = ' class="chosen"'


def _page(language: str, title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
