"""A shop owner opens the page in a real browser, at a desk and on a phone, and tries it.

The texts are read through locators: the page's own policy refuses scripts made from strings.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service, free_port

WHAT_TO_DO = (
    "NOT TESTED: the demo page in a browser. Install one and its driver: "
    "`apt-get install chromium` and `pip install 'recsvc[browser]'`"
)
sync_api = pytest.importorskip("playwright.sync_api", reason=WHAT_TO_DO)

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PANELS = ["home", "again", "offers", "trending", "bestsellers", "new"]


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    known = [path for path in ("/usr/bin/chromium",) if Path(path).exists()]
    return next(iter([*known, *(found for name in names if (found := shutil.which(name)))]), None)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real Chromium with nothing of its own yet."""
    path = _chromium()
    if path is None:
        pytest.skip(WHAT_TO_DO)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, url: str, viewport: dict[str, int], **options: Any) -> Iterator[Any]:
    """A page, that must have said nothing on its console by the end and asked nobody else for anything."""
    context = browser.new_context(viewport=viewport, **options)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url, wait_until="networkidle")
    yield page
    context.close()
    base = url[: url.index("/", len("http://"))]
    assert said == []
    assert [one for one in asked if not one.startswith(base)] == []


def ids(page: Any, panel: str) -> list[str]:
    """The items of a panel, in order."""
    return [one.get_attribute("data-item-id") for one in page.locator(f'[data-panel="{panel}"] .card').all()]


def press(page: Any, kind: str, at: int) -> tuple[str, str]:
    """Press a button of the recommended item at a place; returns the item and the line that answers."""
    card = page.locator('[data-panel="home"] .card').nth(at)
    item_id = card.get_attribute("data-item-id")
    before = page.locator("#change").inner_text()
    card.locator(f'[data-kind="{kind}"]').click()
    sync_api.expect(page.locator("#change")).not_to_have_text(before)
    return item_id, page.locator("#change").inner_text()


def assert_fits(page: Any, width: int) -> None:
    """Nothing may stick out to the side of the page."""
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def url(planted: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of one running service over a shop of two tastes; each test has customers of its own."""
    home = tmp_path_factory.mktemp("page") / "shop"
    shutil.copytree(planted.home, home)
    port = free_port()
    given = {"HOME": home, "PORT": port, "WORKERS": 2, "PAGES": 1, "REDIS_URL": "off"}
    process = subprocess.Popen(
        [sys.executable, "-m", "recsvc", "serve"],
        env={**os.environ, **{f"RECSVC_{name}": str(value) for name, value in given.items()}},
        stderr=subprocess.DEVNULL,
    )
    service = Service(f"http://127.0.0.1:{port}", planted.key, process)
    service.wait()
    yield f"{service.url}/"
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_panel_is_filled_and_fits(browser: Any, url: str, viewport: dict[str, int], scheme: str) -> None:
    with opened(browser, f"{url}?customer_id=c3", viewport, color_scheme=scheme) as page:
        for panel in PANELS:
            assert page.locator(f'[data-panel="{panel}"] .card').count() > 0, panel
        assert all(one.startswith("coffee") for one in ids(page, "home"))
        assert len(ids(page, "home")) == len(set(ids(page, "home"))) == 12
        assert page.locator(".stars a").count() == 2
        assert_fits(page, viewport["width"])


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_list_answers_what_a_customer_does(browser: Any, url: str, viewport: dict[str, int]) -> None:
    customer = f"c{viewport['width'] % 7}"  # one of its own for each
    with opened(browser, f"{url}?customer_id={customer}", viewport) as page:
        seen, line = press(page, "view", 5)
        assert line.startswith("View →") and " ms" in line
        assert f"looked at The {seen}" in page.locator("[data-doing]").inner_text()
        in_cart, line = press(page, "add_to_cart", 0)
        assert line.startswith("Add to cart → the list changed") and f"“The {in_cart}”" in line
        assert in_cart not in ids(page, "home")
        assert page.locator('[data-panel="home"] .mark:visible', has_text="new here").count() > 0
        turned_down, line = press(page, "dislike", 2)
        assert line.startswith("Not for me → the list changed") and f"“The {turned_down}”" in line
        assert turned_down not in ids(page, "home") + ids(page, "again")
        assert_fits(page, viewport["width"])
        page.reload()
        assert turned_down not in ids(page, "home")


def test_an_item_opens_with_what_is_like_it_and_why_it_is_here(browser: Any, url: str) -> None:
    with opened(browser, f"{url}?customer_id=c3", PHONE) as page:
        card = page.locator('[data-panel="home"] .card').first
        title = card.locator("h3").inner_text()
        card.locator("h3 a").focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name=title)
        sync_api.expect(dialog).to_be_visible()
        assert "of its score" in dialog.locator("#item-why").inner_text()
        assert ids(page, "similar") and ids(page, "together")
        assert card.get_attribute("data-item-id") not in ids(page, "similar") + ids(page, "together")
        assert_fits(page, PHONE["width"])
        page.keyboard.press("Escape")
        sync_api.expect(dialog).to_be_hidden()


def test_a_customer_nobody_knows_gets_a_new_customers_lists(browser: Any, url: str) -> None:
    nobody = """<img src=x onerror=alert(1)> "a/b" & 'c'"""
    with opened(browser, url, DESK) as page:
        search = page.get_by_label("Customer", exact=True)
        search.press_sequentially("c11")
        page.locator("#found option").first.wait_for(state="attached")
        assert "c110" in [one.get_attribute("value") for one in page.locator("#found option").all()]
        search.fill(nobody)
        search.press("Enter")
        page.wait_for_load_state("networkidle")
        assert page.locator("h1").inner_text() == f"Customer {nobody}"
        assert "not seen yet" in page.locator("[data-about]").inner_text()
        assert "new customer" in page.locator('[data-panel="home"] .how').inner_text()
        assert len(ids(page, "home")) == 12
        tea = next(at for at, one in enumerate(ids(page, "home")) if one.startswith("tea"))
        press(page, "purchase", tea)
        assert "a moment ago" in page.locator('[data-panel="home"] .how').inner_text()
        assert all(one.startswith("tea") for one in ids(page, "home")[:3])


def test_without_script_the_page_still_shows_everything(browser: Any, url: str) -> None:
    with opened(browser, f"{url}?customer_id=c3", PHONE, java_script_enabled=False) as page:
        assert all(page.locator(f'[data-panel="{panel}"] .card').count() for panel in PANELS)
        assert page.locator(".actions button:visible").count() == 0
        page.locator('[data-panel="home"] h3 a').first.click()
        assert ids(page, "similar") and page.locator("dialog").is_visible()


def test_the_api_is_described_without_asking_anybody_else(browser: Any, url: str) -> None:
    if find_spec("flask_openapi3_swagger") is None:
        pytest.skip("NOT TESTED: /docs in a browser. Install `recsvc[pages]`")
    with opened(browser, f"{url}docs", DESK) as page:
        page.locator(".opblock").first.wait_for()
        assert page.locator(".opblock").count() >= 10
