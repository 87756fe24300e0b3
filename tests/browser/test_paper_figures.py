"""Figures for a paper are drawn by a real browser: every plot of the page, as SVG and as PDF."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from browsed import Shelf
from pointlab.cli import app
from pointlab.report.collect import collect
from pointlab.report.paper.sections import pictures_of

pytestmark = [pytest.mark.browser, pytest.mark.ray]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def study(shelf: Shelf) -> str:
    """The run of the study that the shelf's page is of."""
    shelf.file("study")
    return next(
        run for run in shelf.store("study").folders("runs") if re.fullmatch(r"tiny-[0-9a-f]{10}", run)
    )


@pytest.fixture(scope="module")
def paper(shelf: Shelf, study: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command makes."""
    folder = tmp_path_factory.mktemp("paper") / "written" / "figures-of-the-study"
    root = shelf.store("study").address
    result = CliRunner().invoke(app, ["report", study, "--root", root, "--paper", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_every_plot_of_the_page_is_there_in_both_formats(paper: Path, shelf: Shelf) -> None:
    page = shelf.file("study").read_text()
    plots = re.findall(r'<div id="([^"]+)" class="plotly-graph-div"', page)
    expected = {name for name in plots if not name.startswith("scene-")}
    assert expected
    assert {file.name for file in (paper / "figures").iterdir()} == {
        f"{name}.{kind}" for name in expected for kind in ("svg", "pdf")
    }


def test_drawings_hold_what_the_plots_hold(paper: Path, shelf: Shelf, study: str) -> None:
    storage = shelf.store("study")
    for _, picture in pictures_of(storage, collect(storage, [study])):
        drawing = ElementTree.parse(paper / "figures" / f"{picture.name}.svg").getroot()
        printed = " ".join("".join(text.itertext()) for text in drawing.iter(f"{SVG}text"))
        named = [t.name for t in picture.figure.data if t.name and t.showlegend is not False]
        if len(picture.figure.data) > 1:
            assert [name for name in named if name not in printed] == []
        points = [path for path in drawing.iter(f"{SVG}path") if "point" in path.get("class", "")]
        lines = [path for path in drawing.iter(f"{SVG}path") if "js-line" in path.get("class", "")]
        assert points or lines
        document = (paper / "figures" / f"{picture.name}.pdf").read_bytes()
        assert document.startswith(b"%PDF-")
        assert len(re.findall(rb"/Type\s*/Page\b", document)) == 1


def test_tables_and_contents_stand_beside_them(paper: Path) -> None:
    tables = {file.name for file in (paper / "tables").iterdir()}
    for name in ("study-0-cells", "study-0-to-scans-2-test-accuracy", "corruptions-0"):
        assert {f"{name}.csv", f"{name}.tex"} <= tables
    contents = (paper / "contents.md").read_text()
    files = {str(file.relative_to(paper).with_suffix("")) for file in paper.glob("*/*")}
    assert files == set(re.findall(r"^\| (\S+/\S+) \|", contents, flags=re.MULTILINE))
    assert [file.name for file in paper.parent.iterdir()] == [paper.name]


def test_a_second_paper_leaves_the_first_as_it_is(paper: Path, shelf: Shelf, study: str) -> None:
    before = sorted(file.stat().st_mtime_ns for file in paper.rglob("*"))
    root = shelf.store("study").address
    result = CliRunner().invoke(app, ["report", study, "--root", root, "--paper", str(paper)])
    assert result.exit_code != 0
    assert sorted(file.stat().st_mtime_ns for file in paper.rglob("*")) == before
