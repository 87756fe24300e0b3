"""Every page in a real browser: it loads nothing, draws all its plots, suits a phone and the dark."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browsed import PAGES, SCREENS, Opened, Shelf

pytestmark = [pytest.mark.browser, pytest.mark.ray]
MEGABYTE = 1_000_000
MARKS = """(plot) => {
  const frame = plot.getBoundingClientRect();
  const isSeen = (mark) => {
    const box = mark.getBoundingClientRect();
    return Math.max(box.width, box.height) > 0 && box.right > frame.left && box.left < frame.right
      && box.bottom > frame.top && box.top < frame.bottom;
  };
  const layers = ["scatterlayer", "barlayer", "boxlayer", "heatmaplayer"];
  const marks = plot.querySelectorAll(layers.map((layer) => `.${layer} :is(path, image)`).join(", "));
  return [...marks].filter(isSeen).length;
}"""
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const isInScroller = (element) => element.parentElement.closest(".scroll, pre, .card > div") !== null;
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > width + 1 && !isInScroller(element))
    .map((element) => `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 40)}`);
}"""
CONTRASTS = """() => {
  const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map((each) => linear(each / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = luminance(getComputedStyle(document.body).backgroundColor);
  const told = ["h1", "h2", "p", "td", "th", "dd", "figcaption", "a", ".plotly-graph-div .xtick text"];
  return Object.fromEntries(told.flatMap((selector) => {
    const element = document.querySelector(selector);
    if (!element) return [];
    const style = getComputedStyle(element);
    const own = luminance(selector.endsWith("text") ? style.fill : style.color);
    return [[selector, (Math.max(own, behind) + 0.05) / (Math.min(own, behind) + 0.05)]];
  }));
}"""
TALLEST = 8_000
"""Pixels of a picture: without a graphics card the browser begins anew at 8,192."""
MISFITS = """() => [...document.querySelectorAll(".plotly-graph-div")]
  .filter((plot) => plot.checkVisibility({ contentVisibilityAuto: true }) && plot.querySelector(".main-svg"))
  .map((plot) => [plot.id, plot.querySelector(".main-svg").getBoundingClientRect().width - plot.clientWidth])
  .filter(([, surplus]) => Math.abs(surplus) > 1)"""
LEGIBLE = 4.5
"""Contrast of text, WCAG 2.2, success criterion 1.4.3."""


def test_a_page_loads_nothing_and_has_nothing_to_complain_of(opened: Opened, shelf: Shelf) -> None:
    assert opened.asked == [shelf.file(opened.name).as_uri()]
    assert opened.complaints == []


def test_every_plot_is_drawn(opened: Opened) -> None:
    flat = opened.page.locator(".plotly-graph-div:not(:has(.gl-container canvas))")
    marks = {plot.get_attribute("id"): plot.evaluate(MARKS) for plot in flat.all()}
    assert marks or opened.name == "matching"
    assert [name for name, count in marks.items() if count == 0] == []


def test_every_cloud_to_turn_is_drawn(opened: Opened) -> None:
    scenes = opened.page.locator(".scene .plotly-graph-div")
    for scene in scenes.all():
        scene.scroll_into_view_if_needed()
        assert num_colours(scene.screenshot()) > 10, scene.get_attribute("id")
    assert scenes.count() > 0


def test_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    assert opened.page.evaluate(OVERFLOW) == []
    across = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.page.evaluate(across) == 0


def test_every_plot_is_as_wide_as_its_card(opened: Opened) -> None:
    assert opened.page.evaluate(MISFITS) == []


def test_text_can_be_read_in_light_and_dark(opened: Opened) -> None:
    contrasts = opened.page.evaluate(CONTRASTS)
    assert len(contrasts) > 5
    assert {name: ratio for name, ratio in contrasts.items() if ratio < LEGIBLE} == {}


def test_a_picture_of_the_page_shows_its_scheme(opened: Opened, screenshots: Path) -> None:
    height = opened.page.evaluate("() => document.documentElement.scrollHeight")
    width = SCREENS[opened.screen][0]
    picture = opened.page.screenshot(
        full_page=True, clip={"x": 0, "y": 0, "width": width, "height": min(height, TALLEST)}
    )
    (screenshots / f"{opened.name}-{opened.screen}-{opened.scheme}.png").write_bytes(picture)
    shade = np.median(np.asarray(Image.open(io.BytesIO(picture)).convert("L")))
    assert shade < 64 if opened.scheme == "dark" else shade > 192


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_sent_by_mail(name: str, shelf: Shelf) -> None:
    assert shelf.file(name).stat().st_size < 15 * MEGABYTE


def num_colours(picture: bytes) -> int:
    """Different colours in a picture: a plain card has one, that of a cloud many."""
    found = Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1 << 20)
    return len(found) if found else 1 << 20
