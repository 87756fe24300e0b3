"""Plots of a study: which of its tables' rows are drawn."""

from pointlab.report.study_plots import few_shot_pictures


def row(backbone: str, protocol: str, labels: str, seeds: int) -> dict[str, float | str]:
    levels = {"route": "here", "backbone": backbone, "protocol": protocol, "samples_per_class": labels}
    return {**levels, "start": "scratch", "seeds": seeds, "mean": 0.5, "deviation": 0.1}


def with_another(rows: list[dict[str, float | str]]) -> list[dict[str, float | str]]:
    """A second start beside the first: a single one is compared with nothing."""
    return [*rows, *({**each, "start": "masked"} for each in rows)]


def test_backbones_of_the_most_seeds_are_drawn_where_labels_differ() -> None:
    rows = [
        *(row(backbone, "probe", labels, 3) for backbone in ("first", "second") for labels in ("all", "10")),
        *(row("third", "probe", labels, 1) for labels in ("all", "10")),
        row("first", "full", "10", 3),
    ]
    captions = [picture.caption for picture in few_shot_pictures("study", with_another(rows))]
    assert [caption.partition(":")[0] for caption in captions] == [
        "here, probe, first",
        "here, probe, second",
    ]
