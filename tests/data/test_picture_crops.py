"""Crops, sizes and mirrors of pictures, with which pixels of points move exactly."""

import numpy as np
import pytest
from pydantic import ValidationError

from analytic_scene import CAMERA, colour_picture, every_pixel, named_pixels, pose_from
from pointlab.data.correspondence import UNSEEN
from pointlab.data.picture_crops import Crops, PictureCropConfig, draw_crops, whole
from pointlab.data.pictures import decode_colour
from pointlab.seeding import KeyedDraws

COUNT = 40
SIZES = np.tile([CAMERA.width, CAMERA.height], (COUNT, 1))
PICTURE = decode_colour(colour_picture(CAMERA, pose_from(0, 0)).content)
PIXELS = np.tile(every_pixel(CAMERA).astype(np.float32), (COUNT, 1, 1))


def keyed(count: int = COUNT) -> KeyedDraws:
    return KeyedDraws.of("test", 3, np.arange(count))


@pytest.mark.parametrize(
    "config",
    [
        PictureCropConfig(),
        PictureCropConfig(size=(54, 60), area=(0.3, 1), aspect=(0.5, 2)),
        PictureCropConfig(size=(90, 70), flip=False),
    ],
    ids=["stored-size", "other-aspects", "larger"],
)
def test_what_a_crop_shows_at_a_moved_pixel_is_what_the_picture_showed_there(
    config: PictureCropConfig,
) -> None:
    crops = draw_crops(keyed(), config)
    moved = crops.moved(PIXELS, SIZES).astype(np.float64)
    for place in range(0, COUNT, 4):
        shown = crops.shown(PICTURE, place)
        height, width = shown.shape[:2]
        assert (height, width) == (config.size or PICTURE.shape[:2])
        # at borders, what lies beyond is made up
        is_inner = ((moved[place] > 1.5) & (moved[place] < (width - 2.5, height - 2.5))).all(1)
        named = named_pixels(between_pixels(shown, moved[place, is_inner]))
        assert len(named) > 200
        np.testing.assert_allclose(named, PIXELS[place, is_inner], atol=0.11)  # half a level


def between_pixels(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """What the picture shows at real-valued (column, row), bilinearly."""
    whole_part = np.floor(pixels).astype(int)
    across, down = (pixels - whole_part).T[..., None]
    columns, rows = whole_part.T
    upper, lower = (
        picture[row, columns] * (1 - across) + picture[row, columns + 1] * across for row in (rows, rows + 1)
    )
    return upper * (1 - down) + lower * down


def test_a_pixel_is_lost_where_it_lies_beyond_the_crop_and_only_there() -> None:
    crops = draw_crops(keyed(), PictureCropConfig(area=(0.2, 0.8)))
    moved = crops.moved(PIXELS, SIZES)
    start = crops.boxes[:, None, :2] * SIZES[:, None] - 0.5
    stop = start + crops.boxes[:, None, 2:] * SIZES[:, None]
    is_within = ((start <= PIXELS) & (stop > PIXELS)).all(2)
    np.testing.assert_array_equal(moved[..., 0] != UNSEEN, is_within)
    np.testing.assert_array_equal(moved[..., 1] != UNSEEN, is_within)
    assert 0.2 < is_within.mean() < 0.8


def test_crops_have_the_areas_and_aspects_that_were_asked_for_and_lie_in_the_picture() -> None:
    config = PictureCropConfig(area=(0.3, 0.9), aspect=(0.8, 1.5))
    crops = draw_crops(keyed(400), config)
    left, top, width, height = crops.boxes.T
    assert (width * height >= 0.3).all()
    assert (width * height <= 0.9).all()
    assert (width / height >= 0.8 - 1e-9).all()
    assert (width / height <= 1.5 + 1e-9).all()
    assert (np.minimum(left, top) >= 0).all()
    assert (np.maximum(left + width, top + height) <= 1).all()
    assert 0.4 < crops.is_mirrored.mean() < 0.6
    assert left.std() > 0.05


def test_a_draw_does_not_depend_on_the_others() -> None:
    config = PictureCropConfig()
    together, alone = draw_crops(keyed(), config), draw_crops(KeyedDraws(keyed().roots[[7]]), config)
    np.testing.assert_array_equal(together.boxes[7], alone.boxes[0])
    assert together.is_mirrored[7] == alone.is_mirrored[0]


def test_whole_pictures_are_resized_alone_and_those_of_their_size_stay_as_they_are() -> None:
    unvaried = draw_crops(keyed(), PictureCropConfig(area=(1, 1), flip=False))
    np.testing.assert_array_equal(unvaried.boxes, whole(COUNT, PictureCropConfig()).boxes)
    assert not unvaried.is_mirrored.any()
    same = whole(COUNT, PictureCropConfig())
    assert same.shown(PICTURE, 0) is PICTURE
    np.testing.assert_allclose(same.moved(PIXELS, SIZES), PIXELS, atol=1e-5)
    half = whole(COUNT, PictureCropConfig(size=(CAMERA.height // 2, CAMERA.width // 2)))
    np.testing.assert_allclose(half.moved(PIXELS, SIZES), (PIXELS + 0.5) / 2 - 0.5, atol=1e-5)


def test_a_mirror_keeps_rows_and_turns_columns_around() -> None:
    mirror = Crops(np.tile([0.0, 0, 1, 1], (COUNT, 1)), np.ones(COUNT, bool), None)
    moved = mirror.moved(PIXELS, SIZES)
    np.testing.assert_allclose(moved[..., 0], CAMERA.width - 1 - PIXELS[..., 0], atol=1e-5)
    np.testing.assert_allclose(moved[..., 1], PIXELS[..., 1], atol=1e-5)
    np.testing.assert_array_equal(mirror.shown(PICTURE, 0), PICTURE[:, ::-1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"area": (0.8, 0.5)}, "lower end first"),
        ({"area": (0.5, 1.5)}, "range of shares"),
        ({"aspect": (1.2, 1.5)}, "must hold 1"),
        ({"size": (0, 10)}, "greater than 0"),
    ],
)
def test_ranges_that_no_crop_can_have_are_refused(
    settings: dict[str, tuple[float, float]], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        PictureCropConfig.model_validate(settings)
