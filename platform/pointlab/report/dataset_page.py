"""The page on one prepared set: where it comes from, what the checks found, and what it looks like."""

from dataclasses import dataclass

import yaml
from markupsafe import Markup

from pointlab.data.manifest import DatasetManifest
from pointlab.data.source import SPLITS
from pointlab.report.dataset_plots import class_name, class_picture, size_pictures
from pointlab.report.dataset_sample import NUM_DRAWS, DatasetSample, Drawn, sample_dataset
from pointlab.report.frames import Frame, draw_frame
from pointlab.report.rendering import render
from pointlab.report.scenes import OBJECT, ROOM, Eye, scene
from pointlab.report.thumbnails import thumbnail
from pointlab.report.views import MAX_POINTS, LabelledCloud, View, legend_of, view_together
from pointlab.report.wording import GAP
from pointlab.storage import Storage

MAX_CLASSES = 60
"""Classes whose clouds are shown: with three each, a page of about 5 MB beside plotly."""
ALL_DRAWN_POINTS = 200_000
"""Points of all drawn clouds together: as many of each as the page can carry."""
ORDINALS = ("first", "second", "third")


@dataclass(frozen=True)
class DrawnClass:
    """A class with its drawn clouds: small drawings, the ids of the clouds, and a legend of their parts."""

    name: str
    thumbnails: tuple[Markup, ...]
    ids: tuple[int, ...]
    legend: list[tuple[str, str]]


def build_dataset_page(storage: Storage, dataset: str, split: str = "train") -> str:
    """One self-contained HTML page on a prepared set, with random clouds of one split.

    It depends on the store alone: the same set gives the same page. Raises DataError where there is no such
    set or split, DamagedError where a shard is not what it was.
    """
    sample = sample_dataset(storage, dataset, split)
    by_class = _views(sample)
    return render(
        "dataset_page.html.jinja",
        name=dataset,
        set=sample.manifest,
        figures=_key_figures(sample),
        facts=_facts(sample.manifest),
        source=yaml.safe_dump(sample.manifest.source, sort_keys=False, allow_unicode=True),
        findings=sorted(sample.manifest.findings, key=lambda finding: finding.severity == "note"),
        classes=[class_picture(sample)],
        sizes=size_pictures(sample),
        drawn=[_drawn_class(sample, number, views) for number, views in by_class.items()],
        scenes=_scenes(list(by_class.values()), OBJECT if sample.manifest.class_names else ROOM),
        ordinals=ORDINALS,
        num_left_out=len(sample.drawn) - len(by_class),
        frames=_frames(sample),
        shown=sample.shown,
        is_partial=sample.is_partial,
    )


def _key_figures(sample: DatasetSample) -> list[tuple[str, str, str]]:
    """The numbers on top: what is counted, how many, and a note."""
    details = sample.manifest
    rows = ", ".join(f"{details.rows[split]:,} {split}" for split in SPLITS if split in details.rows)
    dropped = sum(details.dropped.values())
    return [
        ("clouds", f"{sum(details.rows.values()):,}", rows + (f"; {dropped:,} left out" if dropped else "")),
        (
            "classes",
            str(len(details.class_names)),
            f"{len(details.part_names)} parts" if details.part_names else "",
        ),
        ("points a cloud", f"{details.num_points:,}", f"at most, {details.sampling} sampling"),
        ("size", f"{sample.num_bytes / 1e6:,.1f}{GAP}MB", "compressed, with ids and views"),
    ]


def _facts(details: DatasetManifest) -> list[tuple[str, str]]:
    """Where the set comes from and how it was made, as the manifest has it; what is not known is left out."""
    card = details.card
    facts = {
        "licence": card.licence,
        "terms": card.terms,
        "cite": card.citation,
        "homepage": card.homepage,
        "frame": details.frame,
        "scale as released": card.scale.replace("_", " "),
        "normalisation": details.normalise.replace("_", " "),
        "normals": _normals(details),
        "recipe": details.recipe,
    }
    facts |= {f"left out: {reason}": f"{count:,}" for reason, count in details.dropped.items()}
    facts |= {f"known defect, dealt with: {name}": f"{count:,}" for name, count in details.defects.items()}
    return [(name, text) for name, text in facts.items() if text]


def _normals(details: DatasetManifest) -> str:
    """How normals were estimated; nothing where none were."""
    found = details.estimated_normals
    if found is None:
        return ""
    return (
        f"estimated in {found.num_clouds:,} clouds, from {found.num_neighbours} neighbours;"
        f" their sign is {found.sign}"
    )


def _views(sample: DatasetSample) -> dict[int, tuple[View | None, ...]]:
    """For each class that is shown, a view of each of its drawn clouds, None where it has fewer."""
    shown = dict(list(sample.drawn.items())[:MAX_CLASSES])
    budget = max(MAX_POINTS, ALL_DRAWN_POINTS // max(1, NUM_DRAWS * len(shown)))
    return {
        number: view_together(
            [_cloud(drawn, row, budget) for row in range(NUM_DRAWS)], sample.manifest.part_names
        )
        for number, drawn in shown.items()
    }


def _cloud(drawn: list[Drawn], row: int, budget: int) -> LabelledCloud | None:
    if row >= len(drawn):
        return None
    cloud = drawn[row].cloud
    return LabelledCloud(
        cloud.points[:budget],
        None if cloud.parts is None else cloud.parts[:budget],
        None if cloud.colours is None else cloud.colours[:budget],
    )


def _drawn_class(sample: DatasetSample, number: int, views: tuple[View | None, ...]) -> DrawnClass:
    name = class_name(sample, number)
    small = [view.first(MAX_POINTS) for view in views if view is not None]
    return DrawnClass(
        name=name,
        thumbnails=tuple(
            thumbnail(view, f"{name}, {ordinal} draw") for view, ordinal in zip(small, ORDINALS, strict=False)
        ),
        ids=tuple(drawn.sample_id for drawn in sample.drawn[number]),
        legend=legend_of(views),
    )


def _scenes(by_class: list[tuple[View | None, ...]], eye: Eye) -> list[tuple[str, Markup]]:
    """A title and a scene for every draw, with a cloud of each class."""
    draws = list(zip(*by_class, strict=True))
    present = [views for views in draws if any(view is not None for view in views)]
    return [(ORDINALS[number], scene(views, number, eye)) for number, views in enumerate(present)]


def _frames(sample: DatasetSample) -> list[Frame]:
    frames = []
    for prepared, view in sample.frames:
        title = " · ".join(part for part in (prepared.group, view.name, str(prepared.sample_id)) if part)
        frame = draw_frame(prepared.cloud, view, sample.manifest.part_names, title)
        if frame is not None:
            frames.append(frame)
    return frames
