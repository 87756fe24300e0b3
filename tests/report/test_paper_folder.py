"""A folder for a paper is written whole or not at all, and says what it lacks."""

import sys
from pathlib import Path

import pytest

from pointlab.errors import PointlabError
from pointlab.report.paper import write_paper
from pointlab.report.paper.browser import VARIABLE, find_browser
from pointlab.storage import Record, Storage, open_storage, write_record


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """A store with one record that has a table and no figure."""
    storage = open_storage(str(tmp_path / "store"))
    settings = {"kind": "transfer", "name": "tiny", "seed": 0, "protocol": "full", "config": {}}
    record = Record.model_validate({"run": "tiny-s0", "code_version": "", **settings})
    write_record(storage, record.model_copy(update={"metrics": {"test/accuracy": 0.5}}))
    return storage


def fake_browser(folder: Path, name: str) -> Path:
    """A file that could be started, and is no browser."""
    path = folder / name
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


def test_a_browser_is_found_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    chrome = fake_browser(tmp_path, "google-chrome")
    assert find_browser(str(tmp_path)) == str(chrome)
    own = fake_browser(tmp_path, "my-own")
    monkeypatch.setenv(VARIABLE, str(own))
    assert find_browser(str(tmp_path)) == str(own)


def test_where_there_is_no_browser_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(PointlabError, match=r"chromium, .*google-chrome") as caught:
        find_browser(str(tmp_path))
    assert VARIABLE in caught.value.remedy


def test_without_kaleido_the_extra_is_named(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(PointlabError, match="kaleido") as caught:
        write_paper(store, ["tiny-s0"], tmp_path / "paper")
    assert "pointlab[paper]" in caught.value.remedy


@pytest.mark.parametrize(("browser", "told"), [("nowhere", "No browser"), ("broken", "could not draw")])
def test_nothing_is_left_where_figures_cannot_be_drawn(
    browser: str, told: str, store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_browser(tmp_path, "broken")
    monkeypatch.setenv(VARIABLE, str(tmp_path / browser))
    with pytest.raises(PointlabError, match=told):
        write_paper(store, ["tiny-s0"], tmp_path / "papers" / "first")
    assert list((tmp_path / "papers").iterdir()) == []


def test_what_is_in_a_folder_stays(store: Storage, tmp_path: Path) -> None:
    own = tmp_path / "paper.tex"
    own.write_text("mine")
    with pytest.raises(PointlabError, match="there already"):
        write_paper(store, ["tiny-s0"], tmp_path)
    assert own.read_text() == "mine"
