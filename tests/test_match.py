"""A matching asks held-out frames of a finished PPKT, and leaves a page that can be asked for any pixel."""

import base64
import json
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import SHAPES
from pointlab.config import merge, validate
from pointlab.data.sample import PointBatch
from pointlab.errors import ConfigError, DataError, PreemptedError
from pointlab.evaluation.matching import draw_pairs
from pointlab.experiment import MatchExperiment
from pointlab.experiment.matched import read_frames
from pointlab.experiment.matching import finished_ppkt, match
from pointlab.experiment.prepared_data import open_data
from pointlab.experiment.reading_texts import teacher_of_pretraining
from pointlab.launch import resolve, run
from pointlab.paradigms.ppkt import Ppkt
from pointlab.report import build_report
from pointlab.report.answer import answers
from pointlab.report.collect import Material
from pointlab.storage import Record, Storage, open_storage, read_manifest
from pointlab.training import LocalContext
from tiny_match import settings_of, tiny_match
from tiny_recon import NUM_VALIDATION, PICTURED, RECON, SPARSE, publish_in_place_of

BLIND = merge(PICTURED, {"name": "blind"})
"""Of whose clouds none has a picture."""


def record_of(experiment: MatchExperiment) -> Record:
    record = run(experiment).record
    assert record is not None
    return record


@pytest.fixture(scope="module")
def store(recon_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A store with the matching that most tests look at."""
    root = tmp_path_factory.mktemp("matched") / "store"
    shutil.copytree(recon_root, root)
    run(tiny_match(open_storage(str(root))))
    return open_storage(str(root))


def network_of(storage: Storage) -> Ppkt:
    resolved = resolve(tiny_match(storage), storage)
    return finished_ppkt(resolved, storage, teacher_of_pretraining(resolved, "image_teacher", storage))


def frames_of(storage: Storage) -> Iterator[PointBatch]:
    """Each validation cloud, alone, with its first picture."""
    resolved = resolve(tiny_match(storage), storage)
    data = open_data(storage, resolved.datasets["data"], 48)
    return iter(data.batches("validation", 1, ("pixels", "pictures"))())


@torch.no_grad()
def cosines_of(network: Ppkt, frame: PointBatch, pixels: Tensor) -> Tensor:
    """Between these pixels and all points, by the definition: the map is made as large as the picture."""
    values = network.pixel_projection.convolution(network.maps(frame).values)
    size = torch.tensor(frame.pictures.shape[1:3]).flip(0)
    places = (pixels + 0.5) / size * 2 - 1
    sampled = F.grid_sample(values, places[None, None], padding_mode="border", align_corners=False)
    points = network.point_projection(network.backbone.point_features(frame).values[0])
    return F.cosine_similarity(sampled[0, :, 0].T[:, None], points[None], dim=2)


def test_figures_are_those_of_the_model_asked_by_the_definition(store: Storage) -> None:
    record, network = record_of(tiny_match(store)), network_of(store)
    distances, hits = [], []
    for frame in frames_of(store):
        seen = (frame.pixels[0, :, 0] > -1).nonzero().squeeze(1)
        asked = seen[draw_pairs(len(seen), 6, int(frame.ids[0]))]
        cosines = cosines_of(network, frame, frame.pixels[0, asked])
        found = seen[cosines[:, seen].argmax(1)]
        distances.append(float((frame.points[0, found] - frame.points[0, asked]).norm(dim=1).median()))
        hits.append(float((cosines[:, asked].argmax(1) == torch.arange(len(asked))).double().mean()))
    way = "validation/pixel_to_point"
    assert record.metrics["validation/frames"] == len(hits) == NUM_VALIDATION
    assert record.metrics[f"{way}/median_distance"] == pytest.approx(np.mean(distances), abs=1e-5)
    assert record.metrics[f"{way}/recall_at_1"] == pytest.approx(np.mean(hits))
    assert (
        record.metrics[f"{way}/low/recall_at_1"] <= np.mean(hits) <= record.metrics[f"{way}/high/recall_at_1"]
    )
    assert "same_label" not in " ".join(record.metrics)


def numbers_on(page: str) -> dict[str, dict[str, Any]]:
    """What the page holds of each frame, by its title."""
    section = page[page.index('<section id="matching"') :].partition("</section>")[0]
    titles = re.findall(r"Frame <code>(\d+)</code>", section)
    contents = re.findall(r'<script type="application/json">(.*?)</script>', section)
    return {title: json.loads(content) for title, content in zip(titles, contents, strict=True)}


def as_the_page_does(frame: dict[str, Any], column: float, row: float) -> np.ndarray:
    """The cosines of all points with a pixel, from the numbers of a page alone, as `matching.js` has it."""

    def decoded(name: str, kind: type, *shape: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(frame[name]), kind).reshape(*shape).astype(float)

    rows, columns, width = frame["rows"], frame["columns"], frame["width"]
    cells = decoded("cells", np.int8, rows, columns, width)
    cells *= decoded("scales", np.float32, rows, columns, 1)
    (x, across), (y, down) = (
        divmod(np.clip(place * factor + offset, 0, count - 1), 1)
        for place, (factor, offset), count in zip(
            (column, row), frame["sampling"], (columns, rows), strict=True
        )
    )
    x, y = int(x), int(y)
    past_x, past_y = min(x + 1, columns - 1), min(y + 1, rows - 1)
    upper = (1 - across) * cells[y, x] + across * cells[y, past_x]
    lower = (1 - across) * cells[past_y, x] + across * cells[past_y, past_x]
    feature = (1 - down) * upper + down * lower
    features = decoded("features", np.int8, -1, width)
    return features @ feature / np.linalg.norm(features, axis=1) / np.linalg.norm(feature)


def test_the_page_holds_the_numbers_from_which_the_models_cosines_follow(store: Storage) -> None:
    page = build_report(store, [record_of(tiny_match(store)).run])
    numbers, network = numbers_on(page), network_of(store)
    assert len(numbers) == 2
    frames = {str(int(frame.ids[0])): frame for frame in frames_of(store)}
    for title, frame in numbers.items():
        for pixel in ([0.0, 0.0], [7.3, 9.8], [15.0, 3.5], frame["start"]):
            expected = cosines_of(network, frames[title], torch.tensor([pixel]))[0].numpy()
            np.testing.assert_allclose(as_the_page_does(frame, *pixel), expected, atol=0.02)
    assert "http" not in page[page.index('<section id="matching"') :].partition("</section>")[0]
    assert "by chance" in page[: page.index('<section id="runs">')]


def test_frames_are_stored_from_the_best_to_the_worst_with_what_is_known_of_their_points(
    store: Storage,
) -> None:
    record = record_of(tiny_match(store))
    shown = read_frames(store, record.run)
    ordered = sorted(record.curves["frames"], key=lambda row: row["pixel_to_point/median_distance"])
    assert shown.keys() == {ordered[0]["id"], ordered[-1]["id"]}
    for frame in shown.values():
        assert frame.picture.startswith(b"\xff\xd8")
        assert frame.points.shape == (48, 3)
        assert frame.start.tolist() in frame.pixels.tolist()
        assert (frame.colours, frame.labels) == (None, None)


def test_frames_that_show_no_points_are_left_out_and_counted(store: Storage) -> None:
    publish_in_place_of(BLIND, store, bare=1)
    record = record_of(tiny_match(store, name="of-sparse", data=SPARSE))
    assert record.notes["frames without seen points"] == "2"
    assert record.metrics["validation/frames"] == NUM_VALIDATION - 2
    with pytest.raises(DataError, match="has pictures"):
        run(tiny_match(store, name="of-blind", data=BLIND))


def test_matchings_that_differ_in_the_seed_of_their_pretraining_are_told_together(store: Storage) -> None:
    record = record_of(tiny_match(store))
    pretrained = {**record.config["pretrained"], "seed": 1}
    metrics = {name: value + 0.1 for name, value in record.metrics.items()}
    settings = {"seed": 1, "config": {**record.config, "pretrained": pretrained}, "metrics": metrics}
    other = record.model_copy(update={"run": "tiny-matching-0123456789-s1", **settings})
    (answer,) = answers(Material((record, other), (record, other), {}, {}))
    value = record.metrics["validation/pixel_to_point/median_distance"]
    assert f"{value + 0.05:.2f} ± 0.07" in answer.finding
    assert [figure.label for figure in answer.figures] == [
        "right point among the first 10 of the pairs",
        "median distance of the found point",
    ]


def test_a_matching_that_is_asked_to_end_leaves_nothing(store: Storage) -> None:
    resolved, stop = resolve(tiny_match(store, name="stopped"), store), threading.Event()
    stop.set()
    with pytest.raises(PreemptedError, match="run the same command again"):
        match(resolved, LocalContext(store, stop=stop))
    assert read_manifest(store, f"runs/{resolved.run}/shown") is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"pretrained": RECON}, "by recon, which learns nothing of pixels"),
        ({"data": SHAPES}, "no picture of shapes is by a known camera: .*num_views"),
        ({"num_points": 65}, "prepared with 64 points"),
        ({"frames_shown": 13}, "frames_shown.*12"),
        ({"pixel_radii": []}, "pixel_radii.*at least 1"),
        ({"launch": {"kind": "ray"}}, "launch.kind must be 'local'"),
    ],
)
def test_what_cannot_be_matched_is_refused_before_anything_is_trained(
    changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        validate(MatchExperiment, {**settings_of("nowhere"), **changes}, "test")
