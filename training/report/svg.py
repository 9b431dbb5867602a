"""SVG: a matplotlib figure as a piece of the page, in the page's letters and colours.

Colours are drawn as marks and become the page's variables, so that one drawing is right on light, dark and paper. Each
figure is drawn in two widths and the page shows the one that fits: a drawing that is shrunk has tiny letters.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT, SECOND, TINT = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
_VARIABLES: Final = {
    INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)", ACCENT: "var(--accent)", SECOND: "var(--second)",
    TINT: "var(--tint)",
}  # fmt: skip
WIDE, NARROW = 620, 316
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "recsvc", "font.size": 12, "font.family": "sans-serif", "figure.dpi": 72,
    "text.color": INK, "axes.labelcolor": SOFT, "axes.edgecolor": LINE, "xtick.color": LINE, "ytick.color": LINE,
    "xtick.labelcolor": SOFT, "ytick.labelcolor": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.spines.left": False, "grid.color": LINE, "grid.linewidth": 0.8, "axes.axisbelow": True, "axes.grid": True,
    "ytick.major.size": 0, "axes.unicode_minus": True, "axes.titlelocation": "left", "axes.titlesize": 12,
    "lines.linewidth": 1.8, "text.parse_math": False,
}  # fmt: skip

Draw = Callable[[Figure, bool], None]


def both(name: str, height: float | tuple[float, float], draw: Draw) -> str:
    """Return a figure in two widths, `.wide` and `.narrow`; the page's style shows one of them.

    Args:
        name: unique in the page; ids within the drawings begin with it.
        height: in pixels; two: of the wide and of the narrow one.
        draw: called with an empty figure and whether it is the wide one.
    """
    heights = height if isinstance(height, tuple) else (height, height)
    return "\n".join(
        _drawn(f"{name}-{css}", css, width, pixels, draw)
        for css, width, pixels in (("wide", WIDE, heights[0]), ("narrow", NARROW, heights[1]))
    )


def small(name: str, height: float, draw: Draw) -> str:
    """Return a figure in the narrow width alone, `.small`: beside a table or another one there is no room for more."""
    return _drawn(f"{name}-small", "small", NARROW, height, draw)


def _drawn(name: str, css: str, width: int, height: float, draw: Draw) -> str:
    # The page's letters are drawn by the browser, whatever the script of a shop's categories.
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure, css == "wide")
        out = io.StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _cleaned(out.getvalue(), name, css)


def _cleaned(text: str, name: str, css: str) -> str:
    """Return the drawing without what belongs to a file of its own, its ids unique and its colours the page's."""
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    # The one of matplotlib is for every element of a file, and here it would be for the whole page.
    text = re.sub(r"\s(?:width|height)=\"[\d.]+pt\"", "", text, count=2)
    text = re.sub(r"\sxmlns(?::\w+)?=\"[^\"]*\"|\sversion=\"1.1\"", "", text).replace("xlink:href", "href")
    used = set(re.findall(r"(?:href=\"#|url\(#)([\w-]+)", text))
    text = re.sub(r"\sid=\"([\w.-]+)\"", lambda one: f' id="{name}-{one[1]}"' if one[1] in used else "", text)
    text = re.sub(r"(href=\"#|url\(#)([\w-]+)", rf"\g<1>{name}-\g<2>", text)
    text = re.sub(r"\sfont-family: [^;\"]*;|\stransform=\"rotate\(-0 [^\"]*\"", "", text)
    for mark, variable in _VARIABLES.items():
        text = text.replace(mark, variable)
    text = re.sub(r"\n\s*", "\n", re.sub(r"<defs>\s*</defs>", "", text))
    return text.replace("<svg", f'<svg class="{css}" aria-hidden="true" focusable="false"', 1)
