"""Tables of a study sort and filter in a real browser, by mouse and by keyboard."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from browsed import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.ray]
CELLS = "table.sortable:has(tbody tr[id^='cell-'])"
COLUMN = """(table, place) => [...table.tBodies[0].rows].map(
  ({ cells }) => cells[place].dataset.value ?? cells[place].textContent.trim()
)"""


@pytest.fixture
def page(fresh: Callable[[str], Opened]) -> "Page":
    return fresh("study").page


def column(table: "Locator", place: int) -> list[float] | list[str]:
    """What a column's rows say, from top to bottom; numbers where all are."""
    told: list[str] = table.evaluate(COLUMN, place)
    try:
        return [float(each) for each in told]
    except ValueError:
        return told


def place_of(table: "Locator", head: str) -> int:
    heads = [each.strip().lower() for each in table.locator("thead th").all_inner_texts()]
    return next(place for place, told in enumerate(heads) if head in told)


def test_a_head_sorts_its_column_and_sorts_it_back(page: "Page") -> None:
    table = page.locator(CELLS)
    before = column(table, place_of(table, "protocol"))
    for head in ("protocol", "accuracy"):
        place = place_of(table, head)
        th = table.locator("thead th").nth(place)
        for _ in range(2):
            th.locator("button").click()
            is_falling = th.get_attribute("aria-sort") == "descending"
            found = column(table, place)
            assert found == sorted(found, reverse=is_falling)
            assert len(set(found)) > 1
        assert table.locator("th[aria-sort='ascending'], th[aria-sort='descending']").count() == 1
    assert sorted(column(table, place_of(table, "protocol"))) == sorted(before)


def test_numbers_begin_with_the_highest_and_words_with_the_first(page: "Page") -> None:
    table = page.locator(CELLS)
    for head, direction in (("accuracy", "descending"), ("start", "ascending")):
        th = table.locator("thead th").nth(place_of(table, head))
        th.locator("button").click()
        assert th.get_attribute("aria-sort") == direction


def test_a_table_sorts_by_keyboard(page: "Page") -> None:
    table = page.locator(CELLS)
    place = place_of(table, "accuracy")
    table.locator("thead th").nth(place).locator("button").focus()
    page.keyboard.press("Enter")
    falling = column(table, place)
    page.keyboard.press("Space")
    assert falling == sorted(falling, reverse=True)
    assert column(table, place) == sorted(falling)


def test_a_filter_leaves_the_rows_that_have_all_its_words(page: "Page") -> None:
    table = page.locator(CELLS)
    rows = [row.inner_text().lower() for row in table.locator("tbody tr").all()]
    expected = ["probe" in row and "supervised" in row for row in rows]
    field = table.locator("xpath=preceding::input[@type='search'][1]")
    field.fill("Probe supervised")
    assert [row.is_visible() for row in table.locator("tbody tr").all()] == expected
    told = table.locator("xpath=preceding::output[1]").inner_text()
    assert told.startswith(f"{sum(expected)} of {len(rows)}")
    field.fill("")
    assert all(row.is_visible() for row in table.locator("tbody tr").all())


def test_every_number_leads_to_the_cells_that_it_is_of(page: "Page") -> None:
    links = page.locator("#study table a[href^='#cell-']")
    assert links.count() > 0
    targets = {str(link.get_attribute("href")) for link in links.all()}
    assert [each for each in targets if page.locator(f"tr[id='{each[1:]}']").count() != 1] == []
    links.first.click()
    assert page.url.endswith(links.first.get_attribute("href") or "nowhere")
    assert page.locator("tr:target").is_visible()
