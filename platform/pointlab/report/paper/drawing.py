"""Plots as SVG and PDF, drawn by plotly.js in a browser that kaleido drives, without a network."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import plotly.graph_objects as go

from pointlab.errors import PointlabError
from pointlab.report.figures import Picture
from pointlab.report.paper.browser import find_browser

FORMATS = ("svg", "pdf")
WIDTH = 640
"""Pixels: at 96 to the inch a little more than the text of one column is wide."""
INK, GRID = "#1b1f24", "#d9dde2"
PATIENCE = 120.0
"""Seconds for one plot: the first one waits for the browser too."""


def draw(pictures: Sequence[Picture], folder: Path) -> None:
    """Write every picture into `folder`, by its name, in each of `FORMATS`.

    Raises PointlabError where kaleido or a browser is missing, or fails.
    """
    kaleido, browser = _kaleido(), find_browser()
    orders = [
        {
            "fig": figure,
            "path": str(folder / f"{picture.name}.{kind}"),
            "opts": {"format": kind, "width": WIDTH, "height": figure.layout.height},
        }
        for picture in pictures
        for figure in [on_paper(picture.figure)]
        for kind in FORMATS
    ]
    settings = {"path": browser, "timeout": PATIENCE, "mathjax": False}
    try:
        kaleido.write_fig_from_object_sync(orders, cancel_on_error=True, kopts=settings)
    except (RuntimeError, OSError, kaleido.errors.KaleidoError) as error:
        reason = next(iter(error.args), type(error).__name__)
        raise PointlabError(
            f"{browser} could not draw the figures: {reason}",
            remedy=f"see that `{browser} --headless --screenshot about:blank` works; memory may be short",
        ) from error


def on_paper(figure: Any) -> Any:
    """The plot with ink for its text and its legend beside it, where lines of it cannot meet the curves."""
    printed = go.Figure(figure)
    is_round = any(trace.type == "scatterpolar" for trace in printed.data)  # whose axes have names all around
    printed.update_layout(
        font={"family": "Helvetica, Arial, sans-serif", "color": INK},
        legend={"orientation": "v", "yref": "paper", "y": 1, "yanchor": "top", "x": 1.02 + 0.2 * is_round},
        margin={"t": 20, "autoexpand": True},
    )
    printed.update_xaxes(gridcolor=GRID, automargin=True)
    printed.update_yaxes(gridcolor=GRID, automargin=True, title_standoff=10)
    return printed


def _kaleido() -> ModuleType:
    try:
        import kaleido.errors
    except ImportError:
        raise PointlabError(
            "Figures for a paper are drawn with kaleido, which is not installed.",
            remedy="pip install 'pointlab[paper]'",
        ) from None
    module: ModuleType = kaleido
    return module
