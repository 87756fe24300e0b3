"""Maps of pictures are what a folder's network says of whole pictures, of any size, and the network stays as
it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from paradigms.providers import contents
from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator
from pointlab.teachers import ImageMaps, cached_image_maps, caching
from pointlab.teachers.families import MAP_ENCODERS
from pointlab.teachers.pictures import preprocessor_settings, to_pixels
from teachers.test_folders import network_of


def tiny(kind: str) -> Any:
    """A tiny network of this type; a ResNet of two stages, whose cells are of 8 pixels."""
    import transformers as t

    if kind != "resnet":
        return network_of(kind)
    sizes = {"embedding_size": 4, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    return t.ResNetForImageClassification(t.ResNetConfig(**sizes))


def saved(folder: Path, kind: str, **preparation: Any) -> Path:
    """The folder with a tiny network of this type, for pictures of 8 by 8 pixels where it has patches."""
    torch.manual_seed(0)
    tiny(kind).save_pretrained(folder)
    settings = preprocessor_settings(8, "ViTImageProcessor") | preparation
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def pictures(number: int, height: int, width: int) -> Tensor:
    drawn = generator("pictures", height).integers(0, 256, (number, height, width, 3), dtype=np.uint8)
    return torch.from_numpy(drawn)


def own_map(kind: str, folder: Path, pixels: Tensor) -> Tensor:
    """By the library's own code, token by token."""
    import transformers as t

    with torch.no_grad():
        if kind == "resnet":
            found: Tensor = t.ResNetModel.from_pretrained(folder).eval()(pixels).last_hidden_state
            return found
        if "clip" in kind:
            network: Any = t.CLIPVisionModel.from_pretrained(folder).eval()
            tokens = network(pixels).last_hidden_state
            tokens = getattr(network, "vision_model", network).post_layernorm(tokens)
        else:
            tokens = t.AutoModel.from_pretrained(folder).eval()(pixels).last_hidden_state
    maps = torch.zeros(len(pixels), tokens.shape[2], 2, 2)
    for row, column in np.ndindex(2, 2):
        maps[:, :, row, column] = tokens[:, 1 + 2 * row + column]
    return maps


@pytest.mark.parametrize("kind", MAP_ENCODERS)
def test_a_map_has_what_the_network_says_of_each_place(tmp_path: Path, kind: str) -> None:
    """In float32 under autocast, too; of larger pictures, which are not square, as well, without a
    gradient."""
    network = ImageMaps(saved(tmp_path, kind)).train()
    side, before = (16 if kind == "resnet" else 8), contents(network)
    small = pictures(2, side, side)
    expected = own_map(kind, tmp_path, to_pixels(small, side))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network(small), expected, rtol=1e-4, atol=1e-5)
    wide = network(pictures(1, 16, 24))
    assert wide.shape == (1, network.width, *((2, 3) if kind == "resnet" else (4, 6)))
    assert not wide.requires_grad
    assert not network.training
    assert contents(network) == before


def test_a_size_that_leaves_part_of_a_patch_is_told_with_one_that_does_not(tmp_path: Path) -> None:
    network = ImageMaps(saved(tmp_path, "vit"))
    with pytest.raises(ConfigError, match=r"10 by 15 .* patches of 4.*picture_size, such as \[8, 16\]"):
        network(pictures(1, 10, 15))


def test_a_preparation_that_mixes_colours_is_refused(tmp_path: Path) -> None:
    folder = saved(
        tmp_path, "vit", image_processor_type="MobileViTImageProcessor", do_flip_channel_order=True
    )
    with pytest.raises(DataError, match="does more to the colours"):
        ImageMaps(folder)


def test_maps_are_computed_once_and_too_large_a_table_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    folder, stored = saved(tmp_path / "vit", "vit"), pictures(5, 8, 12)
    asked: list[int] = []

    def decoded(numbers: Any) -> Any:
        asked.extend(numbers.tolist())
        return stored.numpy()[numbers]

    def table() -> Tensor:
        asked.clear()
        return cached_image_maps(folder, np.arange(5), decoded, "a set", torch.device("cpu"))

    monkeypatch.setattr(caching, "MOST_BYTES", 4 * 5 * 12 * 6 - 1)
    with pytest.raises(ConfigError, match=r"of 5 pictures, 12 x 2 x 3 numbers each, .* 1,440 bytes"):
        table()
    monkeypatch.setattr(caching, "MOST_BYTES", 4 * 5 * 12 * 6)
    torch.testing.assert_close(table(), ImageMaps(folder)(stored))
    assert asked == [0, 0, 1, 2, 3, 4]  # the first of them tells how large they are
    monkeypatch.setattr(caching, "ImageMaps", None)  # nobody reads the network again
    assert table().shape == (5, 12, 2, 3)
    assert asked == [0]
