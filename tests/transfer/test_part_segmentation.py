"""Part segmentation end to end on a tiny set in the layout of ShapeNetPart."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_segmenting import transfer_in

from pointlab.launch import run
from pointlab.storage import Record

PARTS = ["Cup:body", "Cup:handle", "Stool:seat", "Stool:leg"]
SHAPES = {"train": (3, 3), "val": (1, 2), "test": (1, 3)}
"""Of each category; of unequal numbers, so that a mean over shapes is not one over categories."""


def write_parts(root: Path) -> Path:
    """Shapes of 60 points, the upper half of which is one part of their category and the lower the other."""
    (root / "train_test_split").mkdir(parents=True)
    (root / "synsetoffset2category.txt").write_text("Cup 00000000\nStool 00000001\n")
    (root / "part_names.json").write_text(json.dumps({"part_names": PARTS}))
    for split, counts in SHAPES.items():
        listed = [
            f"shape_data/0000000{category}/{split}{n}" for category in (0, 1) for n in range(counts[category])
        ]
        (root / f"train_test_split/shuffled_{split}_file_list.json").write_text(json.dumps(listed))
        for seed, entry in enumerate(listed):
            _, category, name = entry.split("/")
            (root / category).mkdir(exist_ok=True)
            points = np.random.default_rng([seed, len(split)]).uniform(-1, 1, (60, 3))
            parts = 2 * int(category) + (points[:, 1] < 0)
            table = np.concatenate([points, np.eye(3)[np.zeros(60, int)], parts[:, None]], 1)
            np.savetxt(root / category / f"{name}.txt", table, fmt="%.6g")
    return root


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    root = tmp_path_factory.mktemp("parts")
    data = {
        "name": "tiny-parts",
        "source": {"kind": "shapenet_part"},
        "root": str(write_parts(root / "parts")),
        "sampling": "farthest",
        "normalise": "unit_sphere",
    }
    made = run(transfer_in(root, name="tiny-parts", data=data)).record
    assert made is not None
    return made


@pytest.mark.parametrize("split", ["test", "target-validation"])
def test_a_set_of_objects_has_the_figures_that_papers_report(record: Record, split: str) -> None:
    by_class = [record.metrics[f"{split}/class_iou/{name}"] for name in ("Cup", "Stool")]
    assert record.metrics[f"{split}/class_miou"] == pytest.approx(np.mean(by_class))
    shapes = SHAPES["test" if split == "test" else "val"]
    over_shapes = np.average(by_class, weights=shapes)
    assert record.metrics[f"{split}/instance_miou"] == pytest.approx(over_shapes)
    assert over_shapes != pytest.approx(np.mean(by_class))
    assert 0 <= min(by_class) <= max(by_class) <= 1
    assert "own category" in record.notes["instance and class mIoU"]
