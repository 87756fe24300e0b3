"""Records of studies as tests make them: from figures of cells, or row by row."""

from collections.abc import Sequence

from pointlab.storage import Record
from pointlab.study.comparison import Measured, Row, comparison, pooled


def study_record(
    figures: Sequence[Measured] = (),
    *,
    run: str = "a-study-0123456789",
    told: str = "9 of 9 finished, 0 failed",
    **curves: Sequence[Row],
) -> Record:
    """A study that compares these figures with `scratch`; `curves` add others or stand in for them."""
    compared = {
        "cells": (),
        "comparison": comparison(figures, "scratch"),
        "pooled": pooled(figures, "scratch"),
    }
    return Record(
        run=run,
        kind="study",
        name="a-study",
        seed=0,
        protocol="study",
        config={},
        code_version="",
        curves={name: list(rows) for name, rows in (compared | curves).items()},
        notes={"baseline": "scratch", "measure": "test/accuracy", "cells": told},
    )
