"""An installed browser, pages to open in it, and a folder for their pictures.

Its fixtures are there for every test (`pytest_plugins` in `conftest.py`).
"""

import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browsed import PAGES, Opened, Shelf, open_in
from pointlab.report.paper.browser import find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""Clouds are drawn by WebGL, here without a graphics card."""
VIEWS = (("wide", "light"), ("phone", "dark"))


@pytest.fixture(scope="session")
def shelf(
    prepared_root: Path, recon_root: Path, ray_session: None, tmp_path_factory: pytest.TempPathFactory
) -> Shelf:
    """The pages of this session; a search needs its Ray."""
    return Shelf(tmp_path_factory.mktemp("pages"), prepared_root, recon_root)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """The installed browser; the error of `find_browser` where there is none."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=product(PAGES, VIEWS), ids=lambda view: "-".join((view[0], *view[1])))
def opened(request: pytest.FixtureRequest, browser: "Browser", shelf: Shelf) -> Iterator[Opened]:
    """Each page in each view, for tests that leave it as it is."""
    name, (screen, scheme) = request.param
    found = open_in(browser, shelf.file(name), screen, scheme)
    yield found
    found.context.close()


@pytest.fixture
def fresh(browser: "Browser", shelf: Shelf) -> Iterator[Callable[[str], Opened]]:
    """Opens a page by its name, for a test that does something with it."""
    found: list[Opened] = []

    def open_it(name: str) -> Opened:
        found.append(open_in(browser, shelf.file(name)))
        return found[-1]

    yield open_it
    for each in found:
        each.context.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the pages are left: POINTLAB_SCREENSHOTS, else a folder of the session."""
    named = os.environ.get("POINTLAB_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
