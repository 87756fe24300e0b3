"""Long names of runs, sets and settings wrap: neither the page nor the tables of origin grow sideways."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from browsed import SCREENS, Opened, open_in
from pointlab.report import build_report
from pointlab.storage import Record, open_storage, write_record

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
LONG = "fine-tuned-patch-transformer-from-masked-pretraining-on-modelnet10-with-normals-to-lidar"
SET = "a-scanned-set-of-rooms-with-colours-and-normals-and-pictures-0123456789ab"
ACROSS = "(element) => element.scrollWidth - element.clientWidth"


def transfer(seed: int, **parents: str) -> Record:
    """Of a run as a study names it, with settings on one line that no screen is as wide as."""
    return Record(
        run=f"{LONG}-0123456789-s{seed}",
        kind="transfer",
        name=LONG,
        seed=seed,
        protocol=f"full/{LONG}",
        config={"kind": "transfer", "note": "x" * 400},
        code_version="0.1.0+0123456789abcdef0123456789abcdef",
        parents=parents,
        datasets={"data": SET, "shifted": SET.replace("scanned", "sparsely-scanned")},
        metrics={"test/accuracy": 0.5},
        samples_seen=123_456_789,
        device_seconds=12_345,
    )


@pytest.fixture(params=sorted(SCREENS))
def page_of_long_names(
    request: pytest.FixtureRequest, browser: "Browser", tmp_path: Path
) -> Iterator[Opened]:
    storage, first = open_storage(str(tmp_path / "store")), transfer(0)
    last = transfer(1, pretrained=first.run, fine_tuned=first.run)
    for record in (first, last):
        write_record(storage, record)
    file = tmp_path / "long.html"
    file.write_text(build_report(storage, [last.run]), encoding="utf-8")
    found = open_in(browser, file, request.param)
    yield found
    found.context.close()


def test_long_names_wrap_in_what_was_run_and_where_it_comes_from(page_of_long_names: Opened) -> None:
    page = page_of_long_names.page
    assert page.locator("html").evaluate(ACROSS) == 0
    assert page.locator("#runs > .scroll").evaluate(ACROSS) == 0
    if page_of_long_names.screen == "wide":
        assert page.locator("#provenance > .scroll").evaluate(ACROSS) == 0
