"""What zero-shot figures rest on, told beside them: class words that were read before, sentences that ask."""

from collections.abc import Iterable

from pointlab.experiment.matrix import Levels
from pointlab.storage import Record
from pointlab.study.comparison import Row


def words_read(record: Record) -> str | None:
    """In sentences: the class words, the prompts, and by what the ratio of the queries was chosen; None of a
    run that asks no texts."""
    notes = record.notes
    if "class words" not in notes:
        return None
    by_labels = "selection/ratio" in record.metrics
    ratio = "chosen by the labels of the validation split" if by_labels else notes["ratio"]
    return (
        f"Class words: {notes['class words']}. Prompts: {notes['prompts']}. Ratio of text and image query:"
        f" {ratio}."
    )


def words_of_cells(cells: Iterable[tuple[Levels, Record]]) -> list[Row]:
    """A row for each route, protocol and wording of this, with the starts of which it is true."""
    starts: dict[tuple[str, str, str], dict[str, None]] = {}
    for levels, record in cells:
        if (told := words_read(record)) is not None:
            starts.setdefault((levels.route, levels.protocol, told), {})[levels.start] = None
    return [
        {"route": route, "protocol": protocol, "starts": ", ".join(found), "told": told}
        for (route, protocol, told), found in starts.items()
    ]
