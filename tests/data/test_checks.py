"""The checks at the door find what was put into a set for them, and nothing in a set that is sound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from pointlab.data.builtin import Shapes
from pointlab.data.catalogue import UNKNOWN, Scale
from pointlab.data.checks import (
    Examination,
    Finding,
    Severity,
    conclude,
    examine,
    require_no_warnings,
    tell_findings,
)
from pointlab.data.checks.conclusion import gather
from pointlab.data.formats.axes import to_y_up
from pointlab.data.sample import Cloud
from pointlab.data.source import SourceIndex, Split
from pointlab.errors import DataError
from pointlab.seeding import generator

CLASSES = ("thing", "other thing")


def blob(*key: int | str, num_points: int = 600, label: int | None = 0, size: float = 1.0) -> Cloud:
    """A cloud like no other: a cubic surface with random coefficients."""
    source = generator("blob", *key)
    flat = source.uniform(-1, 1, (num_points, 2))
    terms = np.stack([flat[:, 0] ** i * flat[:, 1] ** j for i in range(4) for j in range(4 - i)], axis=1)
    height = terms @ source.normal(size=10)
    return Cloud((size * np.column_stack([flat, height])).astype(np.float32), label)


def index_of(classes: Sequence[str] = CLASSES, scale: Scale = "unknown") -> SourceIndex:
    return SourceIndex(tuple(classes), (), card=replace(UNKNOWN, scale=scale))


def stored(by_split: Mapping[Split, Sequence[Cloud]]) -> dict[int, np.ndarray]:
    return {identity: cloud.points for split in by_split for identity, cloud in numbered(by_split, split)}


def numbered(by_split: Mapping[Split, Sequence[Cloud]], split: Split) -> list[tuple[int, Cloud]]:
    start = 1000 * (1 + list(by_split).index(split))
    return [(start + place, cloud) for place, cloud in enumerate(by_split[split])]


def examinations_of(by_split: Mapping[Split, Sequence[Cloud]], size: int = 1000) -> list[Examination]:
    """Examinations of shards of `size` clouds."""
    found = []
    for split in by_split:
        rows = numbered(by_split, split)
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            found.append(examine([cloud for _, cloud in part], [identity for identity, _ in part], split))
    return found


def findings(
    by_split: Mapping[Split, Sequence[Cloud]], index: SourceIndex | None = None
) -> dict[str, list[Finding]]:
    """All findings about a set, by check."""
    points = stored(by_split)
    result = conclude(examinations_of(by_split), index or index_of(), lambda ids: {i: points[i] for i in ids})
    return {check: [f for f in result if f.check == check] for check in {f.check for f in result}}


def sound() -> dict[Split, list[Cloud]]:
    """Two splits without fault, each with clouds of both classes."""
    return {split: [blob(split, row, label=row % 2) for row in range(12)] for split in ("train", "test")}


def test_a_sound_set_has_no_warning_and_says_that_its_up_axis_is_not_known():
    found = findings(sound())
    assert set(found) == {"up axis"}
    assert found["up axis"][0].severity == "note"
    assert "not checked" in found["up axis"][0].message


# --- points ---


def filled_up(cloud: Cloud) -> Cloud:
    return replace(cloud, points=np.concatenate([cloud.points, cloud.points[:150]]))


def constant(cloud: Cloud) -> Cloud:
    return replace(cloud, points=np.ones_like(cloud.points))


def planar(cloud: Cloud) -> Cloud:
    return replace(cloud, points=cloud.points * np.float32([1, 0, 1]))


@pytest.mark.parametrize(
    ("spoil", "check", "severity"),
    [
        (filled_up, "repeated points", "warning"),
        (constant, "constant clouds", "warning"),
        (planar, "flat clouds", "note"),
    ],
)
def test_spoiled_clouds_are_counted_and_named(spoil: Callable[[Cloud], Cloud], check: str, severity: str):
    clouds = sound()
    clouds["train"][3], clouds["test"][5] = spoil(clouds["train"][3]), spoil(clouds["test"][5])
    (finding,) = findings(clouds)[check]
    assert (finding.severity, finding.count, finding.of) == (severity, 2, 24)
    assert set(finding.sample_ids) == {1003, 2005}


def test_a_few_repeated_points_are_no_finding():
    clouds = sound()
    points = clouds["train"][0].points.copy()
    points[:45] = points[45:90]
    clouds["train"][0] = Cloud(points, 0)
    assert "repeated points" not in findings(clouds)


def test_a_line_is_told_from_a_plane():
    clouds = sound()
    clouds["train"][0] = replace(clouds["train"][0], points=clouds["train"][0].points * np.float32([1, 0, 0]))
    assert "(1 on a line)" in findings(clouds)["flat clouds"][0].message


# --- copies ---


def shuffled(cloud: Cloud) -> Cloud:
    return cloud.take(generator("order").permutation(len(cloud.points)))


def test_a_shuffled_copy_in_another_split_is_found():
    clouds = sound()
    clouds["test"][4] = shuffled(clouds["train"][2])
    (finding,) = findings(clouds)["copies across splits"]
    assert (finding.severity, finding.count, set(finding.sample_ids)) == ("warning", 2, {1002, 2004})


def test_a_copy_with_another_label_is_found():
    clouds = sound()
    clouds["train"][5] = replace(clouds["train"][2], label=1)
    found = findings(clouds)
    assert found["copies with other labels"][0].sample_ids == (1002, 1005)
    assert "copies within a split" not in found


def test_a_copy_within_a_split_is_a_note():
    clouds = sound()
    clouds["train"][4] = shuffled(clouds["train"][2])
    (finding,) = findings(clouds)["copies within a split"]
    assert (finding.severity, finding.count) == ("note", 2)


def test_swapped_coordinates_are_no_copy():
    clouds = sound()
    clouds["test"][4] = replace(
        clouds["train"][2], points=np.ascontiguousarray(clouds["train"][2].points[:, [1, 0, 2]])
    )
    assert "copies across splits" not in findings(clouds)


# --- scale ---


@pytest.mark.parametrize(("scale", "size"), [("unit_sphere", 3.0), ("metres", 1000.0)])
def test_sizes_that_the_card_rules_out_are_found(scale: Scale, size: float):
    def in_sphere(cloud: Cloud, size: float) -> Cloud:
        centred = cloud.points - cloud.points.mean(0)
        return replace(cloud, points=np.float32(size) * centred / np.sqrt((centred**2).sum(1).max()))

    for factor in (1.0, size):
        clouds = {split: [in_sphere(c, factor) for c in part] for split, part in sound().items()}
        found = findings(clouds, index_of(scale=scale)).get("scale", [])
        assert [finding.count for finding in found] == ([] if factor == 1 else [24])


def test_mixed_units_are_found():
    clouds = sound()
    clouds["train"][1] = blob("large", size=1000.0)
    clouds["test"][1] = blob("small", size=0.001)
    (finding,) = findings(clouds)["scale"]
    assert set(finding.sample_ids) == {1001, 2001}


# --- labels ---


def test_a_class_that_is_tested_but_not_trained_is_a_warning():
    clouds = {"train": sound()["train"][::2], "test": sound()["test"]}
    (finding,) = findings(clouds)["labels"]
    assert (finding.severity, finding.count, finding.of) == ("warning", 1, 2)
    assert "other thing" in finding.message


def test_missing_classes_and_splits_are_notes():
    clouds = {"train": sound()["train"]}
    found = findings(clouds, index_of([*CLASSES, "nowhere"]))["labels"]
    assert {finding.severity for finding in found} == {"note"}
    assert any("no test clouds" in finding.message for finding in found)
    assert any("nowhere" in finding.message for finding in found)


def test_a_set_without_labels_is_sound():
    clouds = {split: [replace(c, label=None) for c in part] for split, part in sound().items()}
    assert "labels" not in findings(clouds, index_of([]))


def test_clouds_without_label_among_others_are_found():
    clouds = sound()
    clouds["train"][0] = replace(clouds["train"][0], label=None)
    assert findings(clouds)["labels"][0].sample_ids == (1000,)


# --- up axis ---


@cache
def furniture() -> tuple[SourceIndex, list[Cloud]]:
    source = Shapes(num_train_per_class=4, num_test_per_class=0, num_points=512)
    index = source.index(None)
    return index, source.read(None, index.rows)


def laid(turn: Callable[[np.ndarray], np.ndarray]) -> list[Finding]:
    """What is said of the up axis of the built-in shapes, turned."""
    index, clouds = furniture()
    turned = [replace(cloud, points=np.ascontiguousarray(turn(cloud.points))) for cloud in clouds]
    return findings({"train": turned}, index_of(index.class_names)).get("up axis", [])


def test_standing_objects_are_no_finding_at_any_heading():
    def turn_about_y(points: np.ndarray) -> np.ndarray:
        angle = float(np.abs(points).sum())
        cosine, sine = np.cos(angle), np.sin(angle)
        return (points @ np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])).astype(np.float32)

    assert laid(lambda points: points) == []
    assert laid(turn_about_y) == []


@pytest.mark.parametrize(
    ("turn", "advice"),
    [
        (lambda points: to_y_up(points, "z"), "set source.up_axis to y"),
        (lambda points: points[:, [0, 2, 1]] * np.float32([1, -1, 1]), "set source.up_axis to z"),
        (lambda points: points * np.float32([1, -1, -1]), "upside down"),
        (lambda points: points[:, [1, 0, 2]] * np.float32([1, -1, 1]), "their +x becomes +y"),
    ],
)
def test_objects_that_lie_are_found_with_what_to_do(turn: Callable[[np.ndarray], np.ndarray], advice: str):
    (finding,) = laid(turn)
    assert finding.severity == "warning"
    assert advice in finding.message
    assert finding.count > finding.of / 2


def test_objects_turned_at_random_have_no_consistent_up_direction():
    def tumble(points: np.ndarray) -> np.ndarray:
        source = generator("tumble", str(points[0]))
        rotation = np.linalg.qr(source.normal(size=(3, 3)))[0]
        return (points @ rotation).astype(np.float32)

    (finding,) = laid(tumble)
    assert finding.severity == "note"
    assert "no consistent up direction" in finding.message


# --- the whole ---


def test_findings_do_not_depend_on_order_and_size_of_the_shards():
    clouds = sound()
    clouds["test"][4] = shuffled(clouds["train"][2])
    clouds["train"][7] = filled_up(clouds["train"][7])
    points = stored(clouds)
    results = set()
    for size in (1, 5, 1000):
        for order in (1, -1):
            parts = examinations_of(clouds, size)[::order]
            results.add(conclude(parts, index_of(), lambda ids: {i: points[i] for i in ids}))
    assert len(results) == 1


def test_an_examination_reads_back_from_json_bit_for_bit():
    (before,) = examinations_of({"train": sound()["train"]})
    after = Examination.from_json(before.to_json())
    assert after.split == before.split
    assert after.records.tobytes() == before.records.tobytes()
    assert len(str(before.to_json())) < 300 * len(before.records)


def test_an_examination_of_another_layout_is_refused():
    content = examinations_of({"train": sound()["train"]})[0].to_json() | {"layout": "older"}
    with pytest.raises(DataError, match="another layout"):
        Examination.from_json(content)


def test_a_cloud_is_examined_alike_alone_and_among_others():
    clouds = [blob(row, num_points=100 + row % 2) for row in range(40)]
    together = gather([examine(clouds, range(40), "train")])["train"]
    alone = gather([examine([cloud], [row], "train") for row, cloud in enumerate(clouds)])["train"]
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("num_points", [1, 2, 3])
def test_clouds_of_hardly_any_points_are_examined(num_points: int):
    clouds = [blob(row, num_points=num_points) for row in range(4)]
    found = findings({"train": clouds[:2], "test": clouds[2:]})
    assert found["flat clouds" if num_points > 1 else "constant clouds"][0].count == 4


@pytest.mark.parametrize("far", [1e3, 1e20])
def test_a_stray_point_does_not_break_the_examination(far: float):
    clouds = sound()
    points = clouds["train"][0].points.copy()
    points[0] = far
    clouds["train"][0] = Cloud(points, 0)
    examination = examinations_of({"train": clouds["train"][:1]})[0]
    assert all(
        np.isfinite(examination.records[key]).all() for key in ("fingerprint", "axes", "spreads", "radius")
    )
    assert findings(clouds)["scale"][0].sample_ids == (1000,)


def test_dropped_clouds_are_noted():
    found = conclude(examinations_of({"train": sound()["train"]}), index_of(), dict, {"is an empty cloud": 3})
    assert (found[0].count, found[0].of, found[0].severity) == (3, 15, "note")


def test_strict_lists_every_warning_and_no_note():
    warning = Finding(check="scale", severity="warning", count=1, of=2, message="too large")
    note = Finding(check="labels", severity="note", count=1, of=2, message="worth knowing")
    require_no_warnings([note], "toys")
    with pytest.raises(DataError, match=r"(?s)2 problem.*too large.*upside down") as error:
        require_no_warnings([warning, note, warning.model_copy(update={"message": "upside down"})], "toys")
    assert "worth knowing" not in str(error.value)


def test_an_empty_set_has_no_findings():
    assert conclude([], index_of(), dict) == ()


def test_the_log_has_every_warning_and_of_the_notes_of_a_check_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: tuple[tuple[str, Severity, str], ...] = (
        ("copies", "note", "first of three"),
        ("copies", "warning", "a warning"),
        ("copies", "note", "second of three"),
        ("scale", "note", "the only one"),
        ("copies", "note", "third of three"),
        ("copies", "warning", "another warning"),
    )
    found = [
        Finding(check=check, severity=severity, count=1, of=2, message=text) for check, severity, text in said
    ]
    caplog.set_level("INFO")
    tell_findings("shapes", found)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "WARNING", "INFO", "INFO"]
    assert all(
        part in line
        for (_, line), part in zip(told, ("a warning", "another", "first", "the only one"), strict=True)
    )
    assert "2 more, in its findings.csv" in told[2][1]
    assert "more" not in told[3][1]
