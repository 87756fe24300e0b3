"""Pages of real runs, each made when it is first asked for, and what a browser says of them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conftest import TRAINING, tiny_pretrain
from pointlab.experiment import StudyExperiment
from pointlab.launch import run
from pointlab.report import build_dataset_page, build_report
from pointlab.storage import Storage, open_storage
from tiny_analyse import tiny_analyse
from tiny_match import tiny_match
from tiny_search import tiny_search
from tiny_study import tiny_study

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

SCREENS = {"wide": (1280, 900), "phone": (375, 812)}
SETTLED = """() => [...document.querySelectorAll(".plotly-graph-div")].every((plot) => plot._fullLayout)"""
HINTS = ("Canvas2D: Multiple readback operations", "GPU stall due to ReadPixels")
"""Advice of the browser to whoever wrote plotly.js, on speed alone."""
PAUSE = "() => new Promise((done) => setTimeout(done, 400))"
"""For what follows from the size of a card: plots grow with the lines of their legends."""


def small_study(storage: Storage) -> StudyExperiment:
    """Two starts, protocols, numbers of labels and seeds, under corruptions: something for every section."""
    corruptions = {"name": "modelnet_c", "corruptions": ["scale", "jitter", "rotate"], "severities": [1]}
    return tiny_study(
        storage,
        seeds=[0, 1],
        samples_per_class=[2, 3],
        protocols={"full": {"protocol": "full", "training": {**TRAINING, "epochs": 1}}},
        routes={"to-scans": {"transfer": {"corruptions": corruptions}}},
    )


@dataclass(frozen=True)
class Shelf:
    """A folder of pages, with copies of the prepared stores to make them of."""

    folder: Path
    prepared: Path
    pictured: Path

    def file(self, name: str) -> Path:
        """The page of this name, made if it is not there."""
        path = self.folder / f"{name}.html"
        if not path.exists():
            page = dataset_page if name == "dataset" else run_page(MAKERS[name])
            path.write_text(page(self.store(name)), encoding="utf-8")
        return path

    def store(self, name: str) -> Storage:
        """The store that the page is made of."""
        root = self.folder / name
        if not root.exists():
            shutil.copytree(self.pictured if name == "matching" else self.prepared, root)
        return open_storage(str(root))


def dataset_page(storage: Storage) -> str:
    return build_dataset_page(
        storage, next(n for n in storage.folders("datasets") if n.startswith("shapes-"))
    )


def run_page(make: Callable[[Storage], Any]) -> Callable[[Storage], str]:
    """Carries the experiment out, and reports on it."""

    def page(storage: Storage) -> str:
        record = run(make(storage)).record
        assert record is not None
        return build_report(storage, [record.run])

    return page


MAKERS: dict[str, Callable[[Storage], Any]] = {
    "study": small_study,
    "search": lambda storage: tiny_search(storage.address),
    "analysis": tiny_analyse,
    "matching": tiny_match,
    "masked": lambda storage: tiny_pretrain(
        storage, paradigm={"kind": "masked", "decoder": {"num_heads": 2}}, training={"epochs": 1}
    ),
}
PAGES = ("dataset", *MAKERS)


@dataclass
class Opened:
    """A page in a browser, everything that it asked for, and all errors and warnings."""

    name: str
    screen: str
    scheme: str
    context: "BrowserContext"
    page: "Page"
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning") and not any(hint in message.text for hint in HINTS):
            self.complaints.append(f"{message.type}: {message.text}")


def open_in(browser: "Browser", file: Path, screen: str = "wide", scheme: str = "light") -> Opened:
    """The page on a screen in a scheme, with all that is folded unfolded, when its plots are there."""
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=screen == "phone",
        has_touch=screen == "phone",
    )
    opened = Opened(file.stem, screen, scheme, context, context.new_page())
    page = opened.page
    page.on("console", opened.hear)
    page.on("pageerror", lambda error: opened.complaints.append(f"exception: {error}"))
    page.on("request", lambda request: opened.asked.append(request.url))
    page.goto(file.as_uri())
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.wait_for_function(SETTLED)
    page.evaluate(PAUSE)
    return opened
