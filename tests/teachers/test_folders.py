"""Folders of `transformers`, whoever saved them, give foreign transformers: whole, by hash, no pickles."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pointlab.errors import ConfigError, DataError
from pointlab.seeding import generator
from pointlab.teachers import (
    ClipConfig,
    ImageTeacher,
    ResNetConfig,
    VitConfig,
    find_folder,
    foreign_transformer,
    hash_of,
    identity_of,
    image_features,
    random_foreign_transformer,
    require_hash,
)
from pointlab.teachers.families import FAMILIES
from pointlab.teachers.foreign import transformer_of
from pointlab.teachers.loading import damaged
from pointlab.teachers.networks import build_classifier, build_two_towers
from pointlab.teachers.pictures import preprocessor_settings, to_pixels
from pointlab.teachers.settings import TowerConfig

BLOCKS = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {**BLOCKS, "intermediate_size": 24}
PICTURES = {"image_size": 8, "patch_size": 4}
WORDS = {
    "vocab_size": 9,
    "max_position_embeddings": 6,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
Saved = Callable[..., Path]


def network_of(name: str) -> Any:
    """A tiny network as its authors publish it: with whatever head it was trained with."""
    import transformers as t

    match name:
        case "vit":
            return t.ViTForImageClassification(t.ViTConfig(**PICTURES, **WIDE))
        case "dinov2":
            return t.Dinov2Model(t.Dinov2Config(**PICTURES, **BLOCKS, mlp_ratio=2))
        case "clip":
            towers = {"text_config": WORDS | WIDE, "vision_config": PICTURES | WIDE}
            return t.CLIPModel(t.CLIPConfig(**towers, projection_dim=8))
        case "clip_vision_model":
            return t.CLIPVisionModel(t.CLIPVisionConfig(**PICTURES, **WIDE))
    return t.BertForMaskedLM(t.BertConfig(**{**WORDS, **WIDE}))


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Saves the tiny network of this name, with the options of `save_pretrained`; its folder."""

    def save(name: str, **options: Any) -> Path:
        torch.manual_seed(0)
        network_of(name).save_pretrained(tmp_path / name, **options)
        return tmp_path / name

    return save


def hidden_rows(name: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """What enters the blocks of the saved network, and what leaves its final norm, by its own code."""
    import transformers as t

    network = (
        t.CLIPVisionModel.from_pretrained(folder) if "clip" in name else t.AutoModel.from_pretrained(folder)
    )
    pixels, words = torch.rand(2, 3, 8, 8), torch.tensor([[0, 5, 1], [0, 7, 1]])
    with torch.no_grad():
        said = network.eval()(words if name == "bert" else pixels, output_hidden_states=True)
        norm = getattr(network, "post_layernorm", nn.Identity())  # CLIP's own code leaves it to the pooling
        return said.hidden_states[0], norm(said.last_hidden_state)


def test_a_vit_with_its_own_pooling_says_what_that_gives(tmp_path: Path) -> None:
    import transformers as t

    network = t.ViTModel(t.ViTConfig(**PICTURES, **WIDE)).eval()
    network.save_pretrained(tmp_path)
    settings = preprocessor_settings(8, "ViTImageProcessor")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    pictures = generator("pictures").integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = network(to_pixels(torch.from_numpy(pictures), 8)).pooler_output
    torch.testing.assert_close(image_features(tmp_path, list(pictures)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("settings", [{"crop_pct": 0.5}, {"crop_pct": 1.0, "do_flip_channel_order": True}])
def test_pictures_of_the_right_size_that_a_processor_crops_or_mixes_are_left_to_it(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """As released ResNets have it: their settings look like those of others."""
    import transformers as t

    t.ViTModel(t.ViTConfig(**PICTURES, **WIDE)).save_pretrained(tmp_path)
    name = "ConvNextImageProcessor" if settings["crop_pct"] < 1 else "MobileViTImageProcessor"
    preparation = preprocessor_settings(8, name) | {"size": {"shortest_edge": 8}, **settings}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preparation))
    teacher = ImageTeacher(tmp_path)
    pictures = generator("pictures").integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    expected = teacher.processor(list(pictures), return_tensors="pt", input_data_format="channels_last")
    torch.testing.assert_close(teacher.prepared(torch.from_numpy(pictures)), expected["pixel_values"])


def test_what_a_teacher_says_is_in_float32_under_autocast_too(saved: Saved) -> None:
    folder = saved("dinov2")
    settings = preprocessor_settings(8, "ViTImageProcessor")
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    teacher, pictures = ImageTeacher(folder), torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        said = teacher(pictures)
    assert torch.equal(said, teacher(pictures))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shards", [False, True])
def test_a_folder_of_every_family_gives_its_blocks_and_norm(saved: Saved, name: str, shards: bool) -> None:
    folder = saved(name, **({"max_shard_size": "4KB"} if shards else {}))
    assert (folder / "model.safetensors.index.json").exists() == shards
    foreign = foreign_transformer(folder)
    assert (foreign.width, len(foreign.blocks)) == (12, 2)
    assert not foreign.training
    assert not any(parameter.requires_grad for parameter in foreign.parameters())
    rows, expected = hidden_rows(name, folder)
    with torch.no_grad():
        for block in foreign.blocks:
            rows = block(rows, None)
        torch.testing.assert_close(foreign.norm(rows), expected)


def test_half_precision_is_read_as_float32(saved: Saved) -> None:
    folder = saved("vit")
    network = network_of("vit").half()
    network.save_pretrained(folder)
    assert {p.dtype for p in foreign_transformer(folder).parameters()} == {torch.float32}


def test_the_hash_is_that_of_the_weights_file(saved: Saved) -> None:
    folder = saved("vit")
    expected = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert hash_of(folder) == expected
    require_hash(folder, expected)
    (folder / "README.md").write_text("more about it")
    assert hash_of(folder) == expected
    with pytest.raises(DataError, match=rf"sha256 {expected}.*Expected: {'0' * 64}"):
        require_hash(folder, "0" * 64)


def test_the_hash_of_shards_is_that_of_their_list(saved: Saved) -> None:
    folder = saved("vit", max_shard_size="4KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    listed = "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in shards)
    assert hash_of(folder) == hashlib.sha256(listed.encode()).hexdigest()
    shards[-1].unlink()
    with pytest.raises(DataError, match=r"lacks 1 of \d+ files of its index, such as model-"):
        hash_of(folder)


def to_pickle(folder: Path) -> None:
    torch.save(network_of("vit").state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def of_another_size(folder: Path) -> None:
    change(folder, hidden_size=24)


def shallower(folder: Path) -> None:
    change(folder, num_hidden_layers=1)


def deeper(folder: Path) -> None:
    change(folder, num_hidden_layers=3)


def unknown(folder: Path) -> None:
    change(folder, model_type="llama")


def change(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def index_of_a_pickle(folder: Path) -> None:
    to_pickle(folder)
    index = {"weight_map": dict.fromkeys(network_of("vit").state_dict(), "pytorch_model.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def other_weights(folder: Path) -> None:
    """As transformers would follow it: the hash is still that of model.safetensors."""
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    change(folder, transformers_weights="other.safetensors")


def index_that_leads_away(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    index = {"weight_map": {"a": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (to_pickle, r"holds no model.safetensors, but pytorch_model.bin.*save_pretrained"),
        (cut, "cannot be loaded"),
        (of_another_size, "cannot be loaded"),
        (deeper, r"lack \d+ tensors, such as layers.2"),
        (unknown, "of the type 'llama'"),
        (lambda folder: (folder / "config.json").unlink(), "is no folder of transformers"),
        (index_that_leads_away, "lacks 1 of 1 files"),
        (index_of_a_pickle, "names pytorch_model.bin, which is no safetensors file"),
        (other_weights, "sets transformers_weights"),
        (shallower, r"have 16 tensors of blocks that its config.json does not.*layers.1"),
    ],
)
def test_a_folder_that_is_not_whole_says_what_is_wrong(
    saved: Saved, spoil: Callable[[Path], None], message: str
) -> None:
    folder = saved("vit")
    spoil(folder)
    with pytest.raises(DataError, match=message):
        foreign_transformer(folder)


def test_a_long_complaint_of_the_library_is_cut(tmp_path: Path) -> None:
    complaint = ValueError("unrecognised model, which should be one of " + ", ".join(map(str, range(1000))))
    assert len(damaged(tmp_path, "network", complaint).found) < 300 + len(str(tmp_path))


def test_an_identity_knows_heads_and_preparation_and_no_bookkeeping(saved: Saved) -> None:
    folder = saved("vit")
    identities = [identity_of(folder)]
    change(folder, transformers_version="0", id2label={"0": "chair"})
    (folder / "README.md").write_text("more about it")
    assert identity_of(folder) == identities[0]
    change(folder, num_attention_heads=4)
    identities.append(identity_of(folder))
    for size in (8, 9):
        settings = preprocessor_settings(size, "ViTImageProcessor")
        (folder / "preprocessor_config.json").write_text(json.dumps(settings))
        identities.append(identity_of(folder))
    assert len(set(identities)) == 4


def test_a_name_that_is_no_folder_is_looked_up_in_the_hub_and_its_cache(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline: what the cache holds is found, by hash as well, and what it lacks is said so."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = saved("vit")
    assert find_folder(str(folder)) == folder
    with pytest.raises(DataError, match=r"There is no folder .*offline, copy"):
        find_folder("somebody/something")
    with pytest.raises(DataError, match=r"There is no folder .*at/all. .*check the path"):
        find_folder(str(tmp_path / "nowhere" / "at" / "all"))
    commit = "0" * 40
    repository = tmp_path / "hub" / "models--somebody--something"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    require_hash(find_folder("somebody/something"), hash_of(folder))


def test_a_random_teacher_depends_on_its_seed_alone() -> None:
    tower = TowerConfig(width=8, depth=2, num_heads=2)
    for network in (
        VitConfig(picture_size=8, patch_size=4, width=8, depth=2, num_heads=2),
        ClipConfig(picture_size=8, patch_size=4, vision=tower, text=tower, num_words=514),
    ):
        state = torch.get_rng_state()
        first, second, other = (random_foreign_transformer(network, seed) for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), state)
        assert (first.width, len(first.blocks)) == (8, 2)
        pairs = list(zip(first.parameters(), second.parameters(), strict=True))
        assert all(torch.equal(one, another) for one, another in pairs)
        assert not torch.equal(*(next(t.parameters()) for t in (first, other)))
        assert first.blocks[1](torch.rand(2, 5, 8), None).shape == (2, 5, 8)
    with pytest.raises(ConfigError, match="no transformer blocks"):
        random_foreign_transformer(ResNetConfig(), 0)


def test_new_positions_are_about_as_large_as_embedded_patches() -> None:
    """In pictures that are mostly white, smaller ones drown."""
    torch.manual_seed(0)
    classifier: Any = build_classifier(VitConfig(), class_names=("any",))
    towers: Any = build_two_towers(ClipConfig(), 514, 512, 513)
    white, vit, clip = torch.ones(1, 3, 64, 64), classifier.vit.embeddings, towers.vision_model.embeddings
    for positions, patches in (
        (vit.position_embeddings, vit.patch_embeddings(white)),
        (clip.position_embedding.weight, clip.patch_embedding(white)),
    ):
        assert 0.7 < (positions.std() / patches.std()).item() < 1.4


def test_official_sizes_have_the_official_numbers_of_parameters() -> None:
    """On no device, so that nothing is computed; the numbers are those of the published weights."""
    import transformers as t

    base = {"width": 768, "depth": 12, "num_heads": 12}
    vit = VitConfig(picture_size=224, patch_size=16, **base)
    clip = ClipConfig(
        picture_size=224,
        patch_size=16,
        vision=TowerConfig(**base),
        text=TowerConfig(width=512, depth=12, num_heads=8),
        num_features=512,
        max_words=77,
    )
    resnet = ResNetConfig(
        layer="bottleneck", stem_width=64, widths=(256, 512, 1024, 2048), depths=(3, 4, 6, 3)
    )
    classes = tuple(map(str, range(1000)))
    with torch.device("meta"):
        networks = {
            86_567_656: build_classifier(vit, classes),
            25_557_032: build_classifier(resnet, classes),
            149_620_737: build_two_towers(clip, 49_408, 49_406, 49_407),
            86_580_480: t.Dinov2Model(t.Dinov2Config(image_size=518, patch_size=14)),
            109_482_240: t.BertModel(t.BertConfig()),
        }
    for expected, network in networks.items():
        assert size(network) == expected
    blocks = 12 * 7_087_872
    vit_network: Any = networks[86_567_656]
    assert size(transformer_of(vit_network.vit, FAMILIES["vit"])) == blocks + 2 * 768
    assert size(transformer_of(networks[109_482_240], FAMILIES["bert"])) == blocks


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
