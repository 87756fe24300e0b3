"""Tables for a paper: CSV has the numbers of the record, LaTeX prints them safely and marks the best."""

import csv
import io
import re

import pytest

from pointlab.experiment.matrix import Levels
from pointlab.report.paper.folder import _named_apart
from pointlab.report.paper.latex import SPECIAL, escape
from pointlab.report.paper.study_tables import study_tables
from pointlab.report.paper.tables import PaperTable, best_of
from pointlab.storage import Record
from pointlab.study.comparison import Measured
from pointlab.study.ranking import agreement, ranking
from study_records import study_record

FIGURES = {
    ("scratch", "probe"): (0.50, 0.60),
    ("scratch", "full"): (0.70, 0.70),
    ("act_&_more", "probe"): (0.80, 0.90),
    ("act_&_more", "full"): (0.6999, 0.7001),
    ("alone", "probe"): (0.30, 0.50),
}
ROBUST = {("scratch", "full"): (0.40, 0.50), ("act_&_more", "full"): (0.30, 0.30)}


def measured(figures: dict[tuple[str, str], tuple[float, ...]], measure: str) -> list[Measured]:
    return [
        Measured(
            Levels(start, "patches", "to-scans", protocol, None, seed), measure, value, f"{start}-{seed}"
        )
        for (start, protocol), values in figures.items()
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def study() -> Record:
    """A study of two measures; one start has no figure under `full`."""
    cells = [*measured(FIGURES, "test/accuracy"), *measured(ROBUST, "corrupted-test/mOA")]
    ranked = [cell for cell in cells if cell.levels.start != "alone"]
    place = {"route": "to-scans", "backbone": "patches", "samples_per_class": "all"}
    outcome = {"outcome": "failed", "error": "", "run": "lost", "seed": 0.0}
    cost = {"samples": 43_200.0, "clouds": 86_400.0, "steps": 2_700.0, "flops": 1.25e15, "seconds": 3_725.0}
    teachers = {"teacher_flops": "", "teacher_seconds": 45.0}
    return study_record(
        cells,
        ranking=list(ranking(ranked)),
        agreement=list(agreement(ranked)),
        costs=[{**place, "start": "act_&_more", **cost, **teachers}],
        ancestors=[{"kind": "teacher", "name": "towers", "starts": "act_&_more", **cost}],
        cells=[{**place, "protocol": "full", "start": "alone", **outcome}],
    )


@pytest.fixture
def tables(study: Record) -> dict[str, PaperTable]:
    return {table.name: table for table in study_tables("study-0", study)}


def lines_of(table: PaperTable) -> list[str]:
    """The rows between the first rule and the last, without the rules."""
    return [line.strip() for line in table.as_latex().splitlines() if line.endswith(r"\\")]


def printed(tex: str) -> str:
    """What TeX prints of text, read sign by sign."""
    known = {**{value: key for key, value in SPECIAL.items()}, **{rf"\{sign}": sign for sign in "{}$&%#_"}}
    pieces = "|".join(re.escape(each) for each in sorted(known, key=len, reverse=True))
    assert re.fullmatch(rf"(?:{pieces}|[^\\{{}}$&%#_~^])*", tex), "a sign that TeX takes for its own"
    return re.sub(pieces, lambda found: known[found.group()], tex)


@pytest.mark.parametrize(
    "name",
    [
        "act_&_more",
        r"100 % of $x^2$ #1 {a} \input{x} ~",
        "[2ex] <b>|",
        "81.2 ± 0.4\N{NO-BREAK SPACE}%",
        "ünï",
    ],
)
def test_a_name_is_printed_as_it_is(name: str) -> None:
    assert printed(escape(name)) == name


def test_a_name_ends_no_line_and_no_comment() -> None:
    assert escape("one\ntwo\r\n\tthree\x00\N{LINE SEPARATOR}four") == "one two three four"
    table = PaperTable("t", "first\n\\input{x}", ("a",), ((("b",),),), ())
    assert [line for line in table.as_latex().splitlines() if "input" in line] == ["% first \\input{x}"]


def test_all_rows_have_the_cells_of_the_head(tables: dict[str, PaperTable]) -> None:
    for table in tables.values():
        widths = {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines_of(table)}
        assert widths == {len(table.columns)}
        sides = re.search(r"\\begin\{tabular\}\{([lr]+)\}", table.as_latex())
        assert sides is not None
        assert len(sides[1]) == len(table.columns)


def test_the_best_start_is_bold_with_those_that_print_alike(tables: dict[str, PaperTable]) -> None:
    head, scratch, act, alone = lines_of(tables["study-0-to-scans-all-test-accuracy"])
    assert head == r"Backbone & Start & probe & full \\"
    assert scratch == r"patches & scratch & $55.0 \pm 7.1$ & $\mathbf{70.0} \pm 0.0$ \\"
    assert act == r"patches & act\_\&\_more & $\mathbf{85.0} \pm 7.1$ & $\mathbf{70.0} \pm 0.0$ \\"
    assert alone == r"patches & alone & $40.0 \pm 14.1$ & -- \\"


def test_nothing_is_best_of_one() -> None:
    assert best_of([0.5, "", None]) == frozenset()
    assert best_of([0.5, 0.25]) == {0.5}


def test_measures_share_no_table(tables: dict[str, PaperTable]) -> None:
    assert {name for name in tables if "differences" in name} == {
        "study-0-differences-test-accuracy",
        "study-0-differences-corrupted-test-moa",
    }
    for table in tables.values():
        assert len({row.get("measure", "") for row in table.numbers}) == 1


def test_a_difference_stands_with_its_interval(tables: dict[str, PaperTable], study: Record) -> None:
    (row,) = [r for r in study.curves["pooled"] if (r["start"], r["protocol"]) == ("alone", "probe")]
    low, high = (f"{100 * float(row[side]):+.1f}" for side in ("low", "high"))
    (line,) = [each for each in lines_of(tables["study-0-differences-test-accuracy"]) if "alone" in each]
    assert line == rf"patches & alone & $-15.0 \ [{low},\,{high}]$ & -- \\"


def test_csv_holds_the_numbers_of_the_record(tables: dict[str, PaperTable], study: Record) -> None:
    text = tables["study-0-to-scans-all-test-accuracy"].as_csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = [row for row in study.curves["comparison"] if row["measure"] == "test/accuracy"]
    assert rows == [{column: str(value) for column, value in row.items()} for row in expected]
    assert [float(row["mean"]) for row in rows] == [row["mean"] for row in expected]


def test_ranks_and_costs_are_told(tables: dict[str, PaperTable]) -> None:
    ranks = lines_of(tables["study-0-ranks-corrupted-test-moa"])[1:]
    assert [line.split(" & ")[3:5] for line in ranks] == [
        ["scratch", r"$\mathbf{1.00}$"],
        [r"act\_\&\_more", "$2.00$"],
    ]
    (line,) = lines_of(tables["study-0-agreement-corrupted-test-moa"])[1:]
    assert line == r"full & patches & to-scans & 2 seeds & $1.00$ & $1.00$ \\"
    (teacher,) = lines_of(tables["study-0-ancestors"])[1:]
    assert teacher.startswith(r"teacher & towers & act\_\&\_more & $43\,200$ & ")
    (cost,) = lines_of(tables["study-0-costs"])[1:]
    assert r"$43\,200$ & $86\,400$ & $2\,700$ & $1.25 \times 10^{15}$ & 1~h 2~min & -- & 45~s \\" in cost


def test_every_cell_is_there_with_its_outcome(tables: dict[str, PaperTable]) -> None:
    (cell,) = lines_of(tables["study-0-cells"])[1:]
    assert cell.endswith(r"full & alone & $0$ & failed \\")
    assert "lost" in tables["study-0-cells"].as_csv()


def test_an_old_record_has_the_measure_that_it_notes(study: Record) -> None:
    rows = [row for row in study.curves["comparison"] if row["measure"] == "test/accuracy"]
    old = [{name: value for name, value in row.items() if name != "measure"} for row in rows]
    record = study.model_copy(update={"curves": {"cells": study.curves["cells"], "comparison": old}})
    names = [table.name for table in study_tables("study-0", record)]
    assert names == ["study-0-to-scans-all-test-accuracy", "study-0-cells"]


def test_tables_whose_names_fall_together_keep_files_of_their_own(tables: dict[str, PaperTable]) -> None:
    one = tables["study-0-cells"]
    assert [table.name for table in _named_apart([one, one])] == ["study-0-cells", "study-0-cells--2"]
