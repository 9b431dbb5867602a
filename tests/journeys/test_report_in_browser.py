"""An engineer opens the report of a planted shop in a real browser, at a desk and on a phone, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recsvc import artifact
from tests.journeys.test_page_in_browser import DESK, assert_fits, browser, opened
from tests.training.test_report import measured, shop
from training.report import page

__all__ = ["browser"]  # the fixture

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report with everything on it."""
    home = tmp_path_factory.mktemp("report")
    artifacts = shop(home)
    text = page.render(measured(artifact.read(artifacts, artifact.versions(artifacts)[0])))
    (home / "report.html").write_text(text, encoding="utf-8")
    return home / "report.html"


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_and_fits(browser: Any, path: Path, viewport: dict[str, int], scheme: str) -> None:
    with opened(browser, f"file://{path}", viewport, color_scheme=scheme) as view:
        figures = view.locator("figure").all()
        assert len(figures) == 8
        for figure in figures:
            boxes = [box for one in figure.locator("svg").all() if (box := one.bounding_box())]
            assert len(boxes) == 1 and boxes[0]["width"] > 250 and boxes[0]["height"] > 60
            assert figure.locator("svg:visible path").count() > 3
            assert figure.get_by_role("img").get_attribute("aria-label") and figure.locator("figcaption").inner_text()
        assert_fits(view, viewport["width"])
        assert view.locator("article h3").count() == 10


def test_letters_are_as_large_on_a_phone_and_seen_in_the_dark(browser: Any, path: Path) -> None:
    with opened(browser, f"file://{path}", PHONE, color_scheme="dark") as view:
        letters = view.locator("figure svg:visible text").all()
        assert len(letters) > 30
        assert min(one.bounding_box()["height"] for one in letters) >= 9
        inks = {one.evaluate("one => getComputedStyle(one).fill") for one in letters}
        assert inks == {"rgb(233, 231, 226)", "rgb(167, 174, 184)"}


def test_the_file_asks_nobody_and_its_contents_lead_somewhere(browser: Any, path: Path) -> None:
    asked: list[str] = []
    context = browser.new_context(viewport=DESK)
    view = context.new_page()
    view.on("request", lambda request: asked.append(request.url))
    view.goto(f"file://{path}", wait_until="networkidle")
    assert asked == [f"file://{path}"]
    targets = [one.get_attribute("href") for one in view.locator("nav a").all()]
    assert len(targets) == view.locator("section").count() == 10
    assert all(view.locator(f"section{target} h2").count() == 1 for target in targets)
    ids = view.evaluate("() => [...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    context.close()
