"""A retrieval looks for shapes by captions and by pictures, and keeps what it found to be looked at."""

import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from conftest import BACKBONE
from pointlab.backbones import ReconTransformer
from pointlab.config import merge, validate
from pointlab.data.pictures import decode_colour
from pointlab.errors import ConfigError, PreemptedError
from pointlab.experiment import RetrieveExperiment
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.retrieved import MAX_SIDE, read_shown
from pointlab.experiment.retrieving import retrieve
from pointlab.experiment.shown import small_jpeg
from pointlab.experiment.stored_models import read_module, seeded_backbone
from pointlab.launch import resolve, run
from pointlab.report import build_report
from pointlab.storage import Record, Storage, open_storage, publish, read_manifest, write_record
from pointlab.teachers import text_features
from pointlab.training import LocalContext
from pointlab.training.checkpoint import load_weights
from tiny_recon import NUM_TRAIN, NUM_VALIDATION, PICTURED, RECON, SPARSE, TOWERS, publish_in_place_of

TEXT, IMAGE, CLASS = (f"validation/{name}" for name in ("text_to_shape", "image_to_shape", "image_to_class"))
BLIND = merge(PICTURED, {"name": "blind"})
"""Of whose clouds none has a picture."""
MASKED = {
    **{name: value for name, value in RECON.items() if not name.endswith("_teacher")},
    "backbone": BACKBONE,
    "paradigm": {**RECON["paradigm"], "kind": "masked"},
}
BLIND_TO_PICTURES = merge(RECON, {"paradigm": {"image_weight": 0}, "image_teacher": None})
CAPTIONLESS = {"name": "x", "source": {"kind": "shapenet55", "captions": None}, "num_points": 64}
VIT = {"kind": "vit", "width": 16, "depth": 1, "num_heads": 2}


def settings_of(root: str, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "retrieve",
        "name": "tiny-retrieval",
        "pretrained": RECON,
        "data": PICTURED,
        "split": "validation",
        "queries_shown": 3,
        "shapes_shown": 2,
        "storage": {"root": root},
    }
    return merge(base, changes)


def tiny_retrieve(storage: Storage, **changes: Any) -> RetrieveExperiment:
    settings = settings_of(storage.address, **changes)
    experiment: RetrieveExperiment = validate(RetrieveExperiment, settings, "test")
    return experiment


def record_of(experiment: RetrieveExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


def tables_of(record: Record, name: str) -> list[list[dict[str, Any]]]:
    """The rows of each query that is shown."""
    rows = record.curves[name]
    return [[row for row in rows if row["query"] == number] for number in range(3)]


@pytest.fixture(scope="module")
def store(recon_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A store with the retrieval that most tests look at."""
    root = tmp_path_factory.mktemp("retrieved") / "store"
    shutil.copytree(recon_root, root)
    run(tiny_retrieve(open_storage(str(root))))
    return open_storage(str(root))


def ranks_of_captions(storage: Storage, record: Record) -> dict[str, int]:
    """The rank of the shape with each caption, by the definition: its query, projected, cloud by cloud."""
    (towers,) = [name for name in storage.folders("runs") if name.startswith("towers")]
    parent = record.parents["pretrained"]
    backbone = seeded_backbone(tiny_retrieve(storage).pretrained.architecture, seed=0)
    assert isinstance(backbone, ReconTransformer)
    load_weights(backbone, read_module(storage, parent, "backbone"))
    projection = read_module(storage, parent, "text_projection")
    data = open_data(storage, record.datasets["data"], 48)
    said = []
    for batch in data.batches("validation", 1)():
        patches = backbone.eval().group(batch)
        _, queries = backbone.encode_with_queries(
            backbone.embed(patches), patches.centres, stop_gradient=False, names=("text",)
        )
        said.append(projection["weight"] @ queries[0, 0] + projection["bias"])
    split, ranks = data.split("validation"), {}
    for row, identity in enumerate(split.captions(np.arange(len(split))).tolist()):
        caption = split.caption_texts[identity]
        (wanted,) = text_features(Path(storage.locate(f"runs/{towers}/model")), [caption])
        cosines = [float(F.cosine_similarity(wanted, each, dim=0)) for each in said]
        ranks[caption] = 1 + sum(cosine > cosines[row] for cosine in cosines)
    return ranks


@torch.no_grad()
def test_a_text_ranks_shapes_by_cosine_with_the_projected_text_query_of_each(store: Storage) -> None:
    record = record_of(tiny_retrieve(store))
    ranks = ranks_of_captions(store, record)
    assert len(ranks) == record.metrics[f"{TEXT}/queries"] == NUM_VALIDATION
    shown = {rows[0]["text"]: rows[0]["first_right"] for rows in tables_of(record, "text_to_shape")}
    assert shown == {caption: ranks[caption] for caption in shown}
    assert sorted(shown.values())[0] == min(ranks.values())
    assert sorted(shown.values())[-1] == max(ranks.values())
    for depth in (1, 5):
        right = np.mean([rank <= depth for rank in ranks.values()])
        assert record.metrics[f"{TEXT}/recall_at_{depth}"] == pytest.approx(right)
        assert record.metrics[f"{IMAGE}/chance/recall_at_{depth}"] == pytest.approx(depth / NUM_VALIDATION)
    assert record.metrics[f"{CLASS}/chance/recall_at_1"] == pytest.approx(2 / NUM_VALIDATION)


def test_what_is_shown_is_stored_with_the_run_as_its_tables_name_it(store: Storage) -> None:
    record = record_of(tiny_retrieve(store))
    files = read_shown(store, record.run)
    rows = [row for name in ("text_to_shape", "image_to_shape") for row in record.curves[name]]
    assert files.clouds.keys() == {row["id"] for row in rows}
    assert files.pictures.keys() == {row["picture"] for row in rows} - {""}
    assert all(content.startswith(b"\xff\xd8") for content in files.pictures.values())
    split = open_data(store, record.datasets["data"], 48).split("validation")
    for row, identity in enumerate(split.ids.tolist()):
        if str(identity) in files.clouds:
            expected = split.arrays(row, ("points",))["points"][:48]
            np.testing.assert_array_equal(files.clouds[str(identity)], expected)
    for row in record.curves["image_to_shape"]:
        assert row["is_right"] == (row["id"] == row["picture"])
    for row in record.curves["text_to_shape"]:
        assert row["is_right"] == (row["text"] == row["caption"])


def test_the_page_shows_queries_and_marks_right_shapes_by_more_than_colour(store: Storage) -> None:
    record = record_of(tiny_retrieve(store))
    page = build_report(store, [record.run])
    section = page[page.index('<section id="retrieval">') :].partition("</section>")[0]
    rows = [row for name in ("text_to_shape", "image_to_shape") for row in record.curves[name]]
    assert section.count("<svg ") == len(rows)
    num_right = sum(row["is_right"] for row in rows)
    assert section.count('<li class="right">') == section.count("✓") == num_right > 0
    assert section.count('alt="query: a picture of') == 3
    assert section.count("data:image/jpeg;base64,") == 3
    assert "by chance" in page[: page.index('<section id="runs">')]
    assert 'src="http' not in section


def test_captions_cannot_put_markup_into_the_page(store: Storage) -> None:
    evil = '<b>"bold" & so long that a page clamps it</b>'
    record = record_of(tiny_retrieve(store))
    rows = [row | {"text": evil, "caption": evil} for row in record.curves["text_to_shape"]]
    copy = record.model_copy(update={"run": "evil-0123456789-s0", "curves": {"text_to_shape": rows}})
    path = store.locate(f"runs/{record.run}/shown")
    shutil.copytree(path, path.replace(record.run, copy.run))
    write_record(store, copy)
    page = build_report(store, [copy.run])
    assert evil not in page
    escaped = "&lt;b&gt;&#34;bold&#34; &amp; so long that a page clamps it&lt;/b&gt;"
    assert page.count(f'title="{escaped}"') == len(rows)
    assert f"<q>{escaped}</q>" in page


@pytest.mark.parametrize(("side", "kept"), [(16, (16, 8)), (4 * MAX_SIDE, (MAX_SIDE, MAX_SIDE // 2))])
def test_pictures_are_kept_no_larger_than_a_page_can_use(side: int, kept: tuple[int, int]) -> None:
    content = small_jpeg(np.full((side, side // 2, 3), 200, np.uint8), MAX_SIDE)
    assert decode_colour(content).shape == (*kept, 3)


def test_clouds_without_caption_or_picture_are_found_but_ask_nothing(store: Storage) -> None:
    metrics = record_of(tiny_retrieve(store, name="of-sparse", data=SPARSE)).metrics
    numbers = range(NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION)
    assert metrics[f"{TEXT}/queries"] == sum(number % 4 != 1 for number in numbers)
    assert metrics[f"{IMAGE}/queries"] == sum(number % 4 != 0 for number in numbers)
    assert metrics[f"{TEXT}/shapes"] == metrics[f"{IMAGE}/shapes"] == NUM_VALIDATION


def test_what_no_cloud_has_is_not_asked_by_and_a_note_says_so(store: Storage) -> None:
    publish_in_place_of(BLIND, store, bare=1)
    record = record_of(tiny_retrieve(store, name="of-blind", data=BLIND))
    assert {metric.split("/")[1] for metric in record.metrics} == {"text_to_shape"}
    assert record.notes["image to shape"].startswith("not asked, as no validation cloud of blind-")
    assert not any("image teacher" in note for note in record.notes)
    assert 'alt="query' not in build_report(store, [record.run])


def test_what_an_attempt_that_died_has_left_is_replaced(store: Storage) -> None:
    experiment = tiny_retrieve(store, name="again")
    path = f"runs/{resolve(experiment, store).run}/shown"
    publish(store, path, "retrieval", {"clouds.safetensors": b"of another torch"}, {})
    assert read_shown(store, record_of(experiment).run).clouds


def test_a_retrieval_that_is_asked_to_end_leaves_nothing(store: Storage) -> None:
    resolved, stop = resolve(tiny_retrieve(store, name="stopped"), store), threading.Event()
    stop.set()
    with pytest.raises(PreemptedError, match="run the same command again"):
        retrieve(resolved, LocalContext(store, stop=stop))
    assert read_manifest(store, f"runs/{resolved.run}/shown") is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pretrained": MASKED}, "by masked, which learns nothing of pictures and texts"),
        (
            {"pretrained": BLIND_TO_PICTURES, "image_teacher": TOWERS},
            "image_weight is 0: set image_teacher to null",
        ),
        (
            {"pretrained": BLIND_TO_PICTURES, "data": CAPTIONLESS},
            "nothing to look for shapes by: .*captions",
        ),
        (
            {"text_teacher": {**TOWERS, "network": VIT}},
            "text_teacher.network is a vit, which does not read",
        ),
        ({"num_points": 65}, "prepared with 64 points"),
        ({"num_points": 4}, "num_points is 4, but num_groups is 8"),
        ({"queries_shown": 101}, "queries_shown.*100"),
        ({"launch": {"kind": "ray"}}, "launch.kind must be 'local'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_trained(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        validate(RetrieveExperiment, {**settings_of("nowhere"), **changes}, "test")
