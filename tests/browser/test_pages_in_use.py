"""What a page offers is done by a real browser: classes are switched, pixels are asked."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from browsed import Opened

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.ray]
SHOWN = "(scene) => scene.data.map((trace) => trace.visible)"


@pytest.mark.parametrize(
    ("name", "place"),
    [("dataset", "clouds"), ("search", "clouds"), ("masked", "clouds"), ("masked", "rebuilt")],
)
def test_a_button_switches_every_scene_of_its_section_and_no_other(
    name: str, place: str, fresh: Callable[[str], Opened]
) -> None:
    page = fresh(name).page
    scenes, others = scenes_in(page, f"#{place}"), scenes_in(page, f"section:not(#{place})")
    first, elsewhere = ([scene.evaluate(SHOWN) for scene in group] for group in (scenes, others))
    pictures = [scene.screenshot() for scene in scenes]
    buttons = page.locator(f"#{place} [data-class='2']")
    buttons.first.click()
    third = [[number == 2 for number in range(len(each))] for each in first]
    assert scenes
    assert first == [[number == 0 for number in range(len(each))] for each in first]
    assert drawn(page, lambda: [scene.evaluate(SHOWN) for scene in scenes] == third)
    assert all(button.get_attribute("aria-pressed") == "true" for button in buttons.all())
    assert page.locator(f"#{place} [data-class='0'][aria-pressed='true']").count() == 0
    assert drawn(page, lambda: all(s.screenshot() != old for s, old in zip(scenes, pictures, strict=True)))
    assert [scene.evaluate(SHOWN) for scene in others] == elsewhere


def test_a_cloud_can_be_turned_and_the_others_turn_with_it(fresh: Callable[[str], Opened]) -> None:
    page = fresh("dataset").page
    scenes = page.locator(".scenes .plotly-graph-div").all()
    before = [eye_of(scene) for scene in scenes]
    scenes[0].scroll_into_view_if_needed()
    box = scenes[0].bounding_box()
    assert box is not None
    across, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(across + 80, down, steps=4)
    page.mouse.up()
    assert drawn(page, lambda: eye_of(scenes[0]) != before[0])
    assert drawn(page, lambda: len({tuple(eye_of(scene).values()) for scene in scenes}) == 1)


def scenes_in(page: "Page", place: str) -> list["Locator"]:
    """The scenes with clouds to pick within sections that this selects."""
    return page.locator(f"{place} .scene .plotly-graph-div").all()


def drawn(page: "Page", is_so: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it is so within the time: a processor draws clouds slowly, one frame after the other."""
    for _ in range(int(10 * seconds)):
        if is_so():
            return True
        page.wait_for_timeout(100)
    return False


def eye_of(scene: "Locator") -> dict[str, float]:
    """Where the camera of a scene stands."""
    eye: dict[str, float] = scene.evaluate("(scene) => scene._fullLayout.scene._scene.getCamera().eye")
    return eye


def test_a_pixel_that_is_asked_colours_the_cloud(fresh: Callable[[str], Opened]) -> None:
    page = fresh("matching").page
    frame = page.locator(".match").first
    told, cloud = frame.locator("output").inner_text(), frame.locator("canvas").screenshot()
    picture = frame.locator(".picture").bounding_box()
    assert picture is not None
    frame.locator(".picture").click(position={"x": picture["width"] * 0.1, "y": picture["height"] * 0.9})
    assert frame.locator("output").inner_text() != told
    assert frame.locator("canvas").screenshot() != cloud
