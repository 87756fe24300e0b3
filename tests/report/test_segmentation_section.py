"""What the page tells of the classes of a segmentation."""

import json
import re

from pointlab.report.collect import Material
from pointlab.report.segmentation import segmentation_sections
from pointlab.storage import Record, open_storage


def test_a_class_that_a_split_lacks_has_no_bar_and_comes_last() -> None:
    """It was not measured there, which is not 0 %."""
    ious = {"test/iou/lamp": 0.2, "test/iou/table": 0.0, "target-validation/iou/piano": 0.5}
    record = Record(
        run="segment-0123456789-s0",
        kind="transfer",
        name="segment",
        seed=0,
        protocol="segmentation/full",
        config={},
        code_version="",
        metrics=ious,
        datasets={"data": "rooms"},
    )
    (section,) = segmentation_sections(open_storage("unused"), Material((), (record,), {}, {}))
    drawn = [json.loads(names) for names in re.findall(r'"x":(\[[^]]*\])', section.bars.markup)]
    assert drawn == [["lamp", "table"], ["piano"]]
    assert dict(section.rows)["piano"][0] == ""
