"""Teachers train in the ordinary loop, and leave folders that `transformers` takes for its own."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import SHAPES
from pictured import manifest_of
from pointlab.config import merge, validate
from pointlab.data.manifest import read_dataset
from pointlab.data.picture_augmentation import PictureAugmentation, varied
from pointlab.data.pictures import encode_colour
from pointlab.data.sample import Cloud, Picture, PointBatch, View
from pointlab.data.shards import PreparedCloud, encode_shard
from pointlab.errors import DataError, PointlabError
from pointlab.experiment import TeacherExperiment
from pointlab.experiment.resolve import Findings, Resolved
from pointlab.experiment.teaching import teach
from pointlab.geometry.cameras import centred_pinhole
from pointlab.objectives.hypersphere import unit_length
from pointlab.seeding import generator
from pointlab.storage import Storage, fetch, open_storage, publish
from pointlab.teachers import (
    ClipConfig,
    ImageTeacher,
    VitConfig,
    build_teacher,
    hash_of,
    image_features,
    text_features,
)
from pointlab.teachers.card import Account, card
from pointlab.teachers.pictures import to_pixels
from pointlab.teachers.two_towers import Pairs, as_caption, info_nce_of_captions
from pointlab.teachers.words import CaptionTable, train_tokenizer
from pointlab.training import LocalContext, TrainingResult

TINY_TOWER = {"width": 16, "depth": 1, "num_heads": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "vit": {"kind": "vit", "picture_size": 8, "patch_size": 4, **TINY_TOWER},
    "resnet": {"kind": "resnet", "picture_size": 8, "stem_width": 8, "widths": [8, 16], "depths": [1, 1]},
    "clip": {
        "kind": "clip",
        "picture_size": 8,
        "patch_size": 4,
        "vision": TINY_TOWER,
        "text": TINY_TOWER,
        "num_features": 8,
    },
}
PICTURED = merge(SHAPES, {"source": {"num_views": 2}})
RELEASED = {"name": "released", "source": {"kind": "shapenet55"}, "num_points": 64}
NAMES = ("cup", "armchair", "lamp")
CAPTIONS = ["a round table with three legs", "a table", "a chair with arms"]


def coloured_cloud(number: int, *, is_labelled: bool = True) -> PreparedCloud:
    """A cloud with two pictures in the colour of its class, and a caption that names the class."""
    label, noise = number % 3, generator("coloured", number).random((2, 8, 8, 3))
    pictures = [encode_colour(0.5 * pixels + 0.5 * np.eye(3)[label]) for pixels in noise]
    camera, pose = centred_pinhole(8, 8, 1.0), np.eye(4)
    views = tuple(View(str(n), Picture(content, camera, pose)) for n, content in enumerate(pictures))
    points = generator("points", number).normal(size=(64, 3)).astype(np.float32)
    caption = f"a {('small', 'large')[number // 3 % 2]} {NAMES[label]}"
    return PreparedCloud(
        1000 + number, "", Cloud(points, label if is_labelled else None, caption=caption, views=views)
    )


def publish_noise(storage: Storage, unlabelled: tuple[int, ...] = ()) -> None:
    """Store a set whose pictures and captions tell its three classes, amid noise."""
    shards = {
        f"{split}-00000-of-00001.parquet": encode_shard(
            [coloured_cloud(n, is_labelled=n not in unlabelled) for n in numbers], 64
        )
        for split, numbers in (("train", range(24)), ("validation", range(24, 33)))
    }
    manifest = manifest_of("noise", NAMES, train=24, validation=9)
    publish(storage, "datasets/noise", "dataset", shards, manifest.model_dump(mode="json"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with that set."""
    storage = open_storage(str(tmp_path_factory.mktemp("teachers")))
    publish_noise(storage)
    return storage.address


def taught(root: str, kind: str, run: str, **training: Any) -> tuple[Storage, Findings]:
    """What a tiny run of this name finds, and where it is kept."""
    settings = {
        "name": kind,
        "data": PICTURED,  # its name alone counts here: the set is already found
        "network": NETWORKS[kind],
        "augmentation": {"shift": 1},
        "training": {"epochs": 2, "batch_size": 8, "warmup_epochs": 1, "log_every": 1, **training},
    }
    experiment: TeacherExperiment = validate(TeacherExperiment, {"kind": "teacher", **settings}, "test")
    storage = open_storage(root)
    return storage, teach(Resolved(experiment, run, {"data": "noise"}), LocalContext(storage))


@pytest.fixture(scope="module", params=NETWORKS)
def finished(request: pytest.FixtureRequest, root: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Kind, findings and folder of a finished teacher."""
    storage, findings = taught(root, request.param, f"{request.param}-finished")
    folder = tmp_path_factory.mktemp(request.param)
    fetch(storage, f"runs/{request.param}-finished/model", folder)
    return request.param, findings, folder


def test_a_finished_teacher_is_a_folder_that_transformers_loads_whole(finished: Any) -> None:
    import transformers

    kind, findings, folder = finished
    loader = transformers.CLIPModel if kind == "clip" else transformers.AutoModelForImageClassification
    network, report = loader.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    assert transformers.AutoModel.from_pretrained(folder).config.model_type == kind
    if kind != "clip":
        assert network.config.id2label == dict(enumerate(NAMES))
    assert findings.notes["sha256 of the weights"] == hash_of(folder)
    assert {"validation/accuracy", "validation/loss"} <= findings.metrics.keys()


def test_the_card_tells_data_licence_figures_and_hash(finished: Any) -> None:
    kind, findings, folder = finished
    text = (folder / "README.md").read_text()
    accuracy = f"| accuracy | {findings.metrics['validation/accuracy']:.4g} |"
    for told in (
        f"# {kind}-finished",
        "CC0-1.0",
        "cup, armchair, lamp",
        accuracy,
        hash_of(folder),
        "6 steps, in which pictures were\nshown 48 times",
    ):
        assert told in text
    assert ("`teacher: {kind: folder" in text) == (kind != "resnet")


def test_transformers_prepares_pictures_and_captions_as_they_were_in_training(finished: Any) -> None:
    import transformers

    kind, _, folder = finished
    picture = generator("a picture").integers(0, 256, (12, 10, 3), dtype=np.uint8)
    prepared = transformers.AutoImageProcessor.from_pretrained(folder)(picture, return_tensors="pt")
    own = to_pixels(torch.from_numpy(picture)[None], 8)
    torch.testing.assert_close(prepared["pixel_values"], own, rtol=0, atol=1.01 / 127.5)  # it rounds to bytes
    if kind == "clip":
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        captions = [f"a {size} {name}" for size in ("small", "large") for name in NAMES]
        assert tokenizer("a cup").input_ids == train_tokenizer(captions, 1000, 32)("a cup").input_ids


def test_features_are_those_that_the_network_compares_or_classifies_by(finished: Any) -> None:
    import transformers

    kind, _, folder = finished
    pictures = [generator("pictures", n).integers(0, 256, (8, 8, 3), dtype=np.uint8) for n in range(3)]
    pixels = to_pixels(torch.from_numpy(np.stack(pictures)), 8)
    features = image_features(folder, pictures)
    if kind != "clip":
        network = transformers.AutoModelForImageClassification.from_pretrained(folder)
        torch.testing.assert_close(network.classifier(features), network(pixels).logits, rtol=1e-4, atol=1e-4)
        with pytest.raises(DataError, match=f"of the type '{kind}'"):
            text_features(folder, ["a cup"])
        return
    texts = ["a cup", "a large and very very very " + "large " * 40 + "lamp"]
    network = transformers.CLIPModel.from_pretrained(folder)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, return_tensors="pt"
    )
    expected = network(pixel_values=pixels, **tokens).logits_per_image / network.logit_scale.exp()
    cosines = unit_length(features) @ unit_length(text_features(folder, texts)).T
    torch.testing.assert_close(cosines, expected, rtol=1e-4, atol=1e-4)


def test_pictures_are_prepared_as_the_folder_s_processor_does_it(finished: Any) -> None:
    teacher = ImageTeacher(finished[2])
    for size in (8, 12):
        pictures = generator("pictures", size).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        expected = teacher.processor(list(pictures), return_tensors="pt", input_data_format="channels_last")
        prepared = teacher.prepared(torch.from_numpy(pictures))
        torch.testing.assert_close(prepared, expected["pixel_values"], rtol=0, atol=1e-6)
    assert not teacher.train().training
    assert teacher.train().network.training is False
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert teacher(torch.from_numpy(pictures)).shape == (2, teacher.width)


def test_features_of_nothing_or_of_a_folder_without_preparation_are_refused(
    finished: Any, tmp_path: Path
) -> None:
    kind, _, folder = finished
    with pytest.raises(DataError, match="No picture was given"):
        image_features(folder, [])
    copied = shutil.copytree(folder, tmp_path / "copied")
    picture = np.zeros((8, 8, 3), np.uint8)
    preparation = copied / "preprocessor_config.json"
    preparation.write_text('{"image_processor_type": "Own", "auto_map": {"AutoImageProcessor": "code.Own"}}')
    (copied / "code.py").write_text("raise SystemExit('was executed')")
    for content in (preparation.read_text(), "{broken"):
        preparation.write_text(content)
        with pytest.raises(DataError, match=r"The image processor in .* cannot be loaded"):
            image_features(copied, [picture])
    preparation.unlink()
    with pytest.raises(DataError, match=r"has no preprocessor_config.json"):
        image_features(copied, [picture])
    if kind == "clip":
        require_own_tokenizer(copied)


def require_own_tokenizer(folder: Path) -> None:
    """Without a tokenizer, or with another network's, texts would be read as other words."""
    with pytest.raises(DataError, match="No text was given"):
        text_features(folder, [])
    train_tokenizer(["a completely different text"], 514, 32).save_pretrained(folder)
    with pytest.raises(DataError, match=r"The tokenizer in .* ends texts with number 513"):
        text_features(folder, ["a cup"])
    (folder / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="has no tokenizer"):
        text_features(folder, ["a cup"])


def test_a_text_s_features_do_not_depend_on_the_texts_beside_it(finished: Any) -> None:
    kind, _, folder = finished
    if kind == "clip":
        alone, beside = text_features(folder, ["a cup"]), text_features(folder, ["a cup", "a large " * 20])
        assert torch.equal(alone[0], beside[0])


@pytest.mark.parametrize("kind", NETWORKS)
def test_equal_settings_make_equal_teachers_however_often_they_are_interrupted(root: str, kind: str) -> None:
    """A run that lost all but its first checkpoint, and what it stored, arrives at the same bits."""
    run = f"{kind}-again"
    storage, first = taught(root, kind, run)
    before = json.dumps(first.metrics)
    storage.delete_folder(f"runs/{run}/checkpoints/step-00000006")
    storage.delete_folder(f"runs/{run}/model")
    again = taught(root, kind, run)[1]
    other = taught(root, kind, f"{kind}-another")[1]
    assert first.notes == again.notes == other.notes
    assert before == json.dumps(again.metrics) == json.dumps(other.metrics)


@pytest.mark.parametrize("kind", ["vit", "clip"])
def test_a_teacher_learns_what_its_pictures_show(root: str, kind: str) -> None:
    """The class of unseen pictures; two towers tell it by its name, which no caption is."""
    settings = {"epochs": 12, "validate_every": 12, "optimiser": {"learning_rate": 5e-3}}
    metrics = taught(root, kind, f"{kind}-long", **settings)[1].metrics
    assert metrics["validation/accuracy"] >= 7 / 9
    if kind == "clip":
        assert metrics["validation/loss"] < 0.5 * math.log(8)


def test_a_set_without_captions_or_pictures_is_refused(root: str) -> None:
    tokenizer = train_tokenizer(CAPTIONS, 600, 8)
    with pytest.raises(DataError, match="no captions"):
        CaptionTable({}, tokenizer)
    table = CaptionTable(dict(enumerate(CAPTIONS)), tokenizer)
    for strange in (torch.tensor([0, -1]), torch.tensor([0, 99])):
        with pytest.raises(DataError, match="1 of 2 samples have no caption known"):
            table(strange)


def test_captions_that_are_read_alike_are_no_negatives_of_each_other() -> None:
    tokenizer = train_tokenizer(CAPTIONS, 600, 4)
    table = CaptionTable(dict(enumerate(["a table", "A table", "a table, quite long", "a chair"])), tokenizer)
    readings = table(torch.arange(4))[2].tolist()
    assert readings[0] == readings[1] == readings[2] != readings[3]


def test_the_scale_stays_within_its_bound_and_can_come_back() -> None:
    teacher = build_teacher(
        ClipConfig.model_validate(NETWORKS["clip"]), PictureAugmentation(), NAMES, lambda: {5: "a cup"}
    )
    scale = teacher.network.logit_scale
    with torch.no_grad():
        scale.fill_(5.0)
    teacher.after_step(0, 1)
    assert scale.exp().item() == pytest.approx(100)
    with torch.no_grad():
        scale.fill_(3.0)
    teacher.after_step(0, 1)
    assert scale.item() == 3.0


def test_a_partly_labelled_validation_split_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its accuracy would be divided by clouds that were never judged."""
    monkeypatch.setenv("POINTLAB_CACHE", str(tmp_path / "cache"))
    storage = open_storage(str(tmp_path))
    publish_noise(storage, unlabelled=(24,))
    with pytest.raises(DataError, match="Only 8 of 9 clouds of noise for validation have a label"):
        taught(str(tmp_path), "vit", "partly")


def test_a_card_without_validation_figures_says_so(root: str) -> None:
    account = Account("run", "", read_dataset(open_storage(root), "noise"), TrainingResult(6, 4, 48, 0.0, {}))
    text = card(VitConfig(), account, "0" * 64)
    assert "None: the set has no validation split" in text
    assert "weights after step 4" in text
    assert "| figure |" not in text


def test_a_tokenizer_depends_on_the_captions_alone() -> None:
    texts = [f"a {colour} {thing}" for colour in ("red", "grey", "wide") for thing in ("chair", "lamp", "é")]
    first, second = (train_tokenizer(order, 560, 16) for order in (texts, [*texts[::-1], texts[0]]))
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    assert len(first) <= 560
    assert first.tokenize("a red chair") == ["a</w>", "red</w>", "chair</w>"]
    strange = "zażółć 42 gęślą!"
    assert first.decode(first(strange).input_ids, skip_special_tokens=True) == "zażółć 4 2 gęślą !"


def test_captions_are_looked_up_by_hash_and_cut_at_the_most_words() -> None:
    tokenizer = train_tokenizer(CAPTIONS, 560, 6)
    hashes = [9, 2**62, 4]
    table = CaptionTable(dict(zip(hashes, CAPTIONS, strict=True)), tokenizer)
    tokens, mask, readings = table(torch.tensor([4, 9, 4]))
    assert readings[0] == readings[2] != readings[1]
    assert tokens.shape == (3, 6)
    for row, caption in ((0, CAPTIONS[2]), (1, CAPTIONS[0])):
        kept = tokens[row][mask[row].bool()].tolist()
        assert kept == tokenizer(caption, truncation=True).input_ids
        assert (kept[0], kept[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_pictures_are_shifted_by_few_pixels_and_mirrored() -> None:
    columns = torch.arange(8.0).expand(1, 3, 8, 8)
    pixels = (columns + 10 * columns.transpose(2, 3)).repeat(64, 1, 1, 1)  # each pixel tells its place
    torch.manual_seed(0)
    seen = set()
    for shown in varied(pixels, PictureAugmentation(shift=2)):
        assert torch.equal(shown[0], shown[1])
        inner = shown[0, 2:6, 2:6]
        row, column = divmod(int(inner[0, 0]), 10)
        is_mirrored = bool(inner[0, 1] < inner[0, 0])
        seen.add((row - 2, column - (5 if is_mirrored else 2), is_mirrored))
        across = column + torch.arange(4) * (-1 if is_mirrored else 1)
        torch.testing.assert_close(inner, 10.0 * (row + torch.arange(4.0))[:, None] + across)
    assert {shift for shift, _, _ in seen} == {across for _, across, _ in seen} == {-2, -1, 0, 1, 2}
    assert {mirrored for _, _, mirrored in seen} == {True, False}
    assert torch.equal(varied(pixels, PictureAugmentation(shift=0, flip=False)), pixels)


def test_equal_captions_are_no_negatives_of_each_other() -> None:
    torch.manual_seed(0)
    hashes, scale = torch.tensor([5, 7, 5, 9, 7, 5]), torch.tensor(3.0)
    pairs = Pairs(unit_length(torch.randn(6, 4)), unit_length(torch.randn(6, 4)), hashes)
    loss, top_1 = info_nce_of_captions(pairs, pairs, 0, scale)
    expected, hits = naive_info_nce(pairs, scale)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(top_1, hits)
    flat = Pairs(torch.ones(6, 4) / 2, torch.ones(6, 4) / 2, torch.arange(6))
    assert info_nce_of_captions(flat, flat, 0, scale)[0].item() == pytest.approx(math.log(6))


def naive_info_nce(pairs: Pairs, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Both directions row by row: the own partner among it and the partners of rows with other captions."""
    losses, hits = [], []
    for row, identity in enumerate(pairs.readings):
        others = [n for n in range(len(pairs.readings)) if pairs.readings[n] != identity]
        for queries, keys in ((pairs.pictures, pairs.captions), (pairs.captions, pairs.pictures)):
            scores = torch.stack([scale * (queries[row] @ keys[n]) for n in [row, *others]])
            losses.append(scores.logsumexp(0) - scores[0])
            if queries is pairs.pictures:
                hits.append((scores[0] > scores[1:].max()).float())
    return torch.stack(losses).mean(), torch.stack(hits).mean()


def test_a_share_of_a_batch_counts_against_all_pairs() -> None:
    """The mean of the shares' losses is the loss of the whole, as workers need it."""
    torch.manual_seed(1)
    pictures, captions = unit_length(torch.randn(6, 4)), unit_length(torch.randn(6, 4))
    hashes, scale = torch.tensor([5, 7, 5, 9, 7, 5]), torch.tensor(3.0)
    whole = Pairs(pictures, captions, hashes)
    shares = [
        info_nce_of_captions(
            Pairs(pictures[k : k + 3], captions[k : k + 3], hashes[k : k + 3]), whole, k, scale
        )
        for k in (0, 3)
    ]
    torch.testing.assert_close(
        sum(loss for loss, _ in shares) / 2, info_nce_of_captions(whole, whole, 0, scale)[0]
    )


def test_classes_are_named_as_in_captions() -> None:
    assert [as_caption(name) for name in ("cup", "armchair", "night_stand")] == [
        "a cup",
        "an armchair",
        "a night stand",
    ]


@pytest.mark.parametrize(
    "network",
    [
        {"kind": "vit", "picture_size": 60, "patch_size": 8},
        {"kind": "resnet", "widths": [8, 16], "depths": [1]},
        {"kind": "clip", "vision": {"width": 10, "num_heads": 4}},
    ],
)
def test_sizes_that_do_not_fit_are_mistakes_of_the_config(network: dict[str, Any]) -> None:
    settings = {"kind": "teacher", "name": "wrong", "data": PICTURED, "network": network}
    with pytest.raises(PointlabError, match=r"multiple of|one of each"):
        validate(TeacherExperiment, settings, "test")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"optimiser": {"layer_decay": 0.65}}}, "a teacher has none"),
        (
            {"data": merge(PICTURED, {"source": {"num_views": 0}})},
            "learns from pictures, .* set data.source.num_views",
        ),
        ({"data": RELEASED}, "learns from pictures, .* set data.source.pictures"),
        ({"data": merge(RELEASED, {"source": {"pictures": "{model}.png"}})}, "learn from captions"),
    ],
)
def test_settings_that_no_worker_could_use_are_mistakes_of_the_config(
    changes: dict[str, Any], message: str
) -> None:
    settings = {"kind": "teacher", "name": "wrong", "data": PICTURED, "network": NETWORKS["clip"]}
    with pytest.raises(PointlabError, match=message):
        validate(
            TeacherExperiment, settings | changes if "data" in changes else merge(settings, changes), "test"
        )


def test_a_batch_without_pictures_says_so() -> None:
    teacher = build_teacher(VitConfig(**NETWORKS["vit"]), PictureAugmentation(), NAMES, dict)
    counts = torch.ones(2, dtype=torch.long)
    with pytest.raises(DataError, match="without pictures"):
        teacher(PointBatch(torch.zeros(2, 1, 3), counts, counts, counts))
