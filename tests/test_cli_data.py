"""What `pointlab data` promises: what it prints, its exit codes, and a paragraph instead of a traceback."""

import hashlib
import io
import logging
import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from conftest import SHAPES
from pointlab import terminal
from pointlab.cli import data
from pointlab.cli.fragments import recommended
from pointlab.config import validate
from pointlab.data.catalogue import CATALOGUE, MODELNET
from pointlab.data.dataset import SourceConfig
from pointlab.storage import Storage
from test_cli import PREPARE, Command, flip_last_byte, pointlab, write_config

__all__ = ["pointlab"]  # the fixture

COMMANDS = [command.name for command in data.app.registered_commands]
POINTS = np.random.default_rng(0).normal(size=(8, 80, 3)).astype(np.float32)


@pytest.fixture
def shapes(storage: Storage) -> str:
    return next(name for name in storage.folders("datasets") if name.startswith("shapes-"))


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """An own release in the layout of ModelNet's HDF5 files, as a zip."""
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for part in ("train", "test"):
        with h5py.File(folder / f"{part}0.h5", "w") as file:
            file.create_dataset("data", data=POINTS + (part == "test"))
            file.create_dataset("label", data=np.arange(8) % 2)
        (folder / f"{part}_files.txt").write_text(f"{part}0.h5")
    (folder / "shape_names.txt").write_text("chair\ntable")
    path = Path(shutil.make_archive(str(tmp_path / "release"), "zip", folder))
    shutil.rmtree(folder)
    return path


def flat(text: str) -> str:
    """The text as one line, as a terminal's width breaks it anywhere."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str, pointlab: Command) -> None:
    ended = pointlab("data", command, "--help")
    assert ended.code == 0
    assert f"Example: pointlab data {command}" in ended.output


def test_list_names_every_prepared_set_and_every_published_one(pointlab: Command, storage: Storage) -> None:
    ended = pointlab("data", "list", "--root", storage.address)
    assert ended.code == 0
    for name in storage.folders("datasets"):
        assert name in ended.output
    assert "48 train, 16 validation, 16 test" in ended.output
    for card in CATALOGUE.values():
        assert all(kind in ended.output for kind in card.kinds)
        assert not card.kinds or card.homepage in ended.output


def test_list_without_a_store_shows_the_catalogue_and_makes_none(pointlab: Command, tmp_path: Path) -> None:
    ended = pointlab("data", "list", "--root", tmp_path / "nothing")
    assert ended.code == 0
    assert MODELNET.homepage in ended.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_card_is_told_whole(name: str, pointlab: Command) -> None:
    card, ended = CATALOGUE[name], pointlab("data", "card", name)
    assert ended.code == 0
    for text in (card.title, card.citation, card.terms, card.licence, *card.known_defects.values()):
        assert text in ended.output
    for download in card.downloads:
        assert download.url in ended.output


ODD = "st[/x]"
"""A folder's name that is markup to a terminal which reads it so."""


def test_names_in_brackets_are_printed_as_they_are(
    pointlab: Command, storage: Storage, shapes: str, release: Path, tmp_path: Path
) -> None:
    empty, store = tmp_path / ODD, tmp_path / f"store {ODD}"
    assert f"No set is prepared in {empty}." in pointlab("data", "list", "--root", empty).output
    shutil.copytree(storage.address, store)
    (store / "datasets" / shapes / ODD.replace("/", "")).write_bytes(b"")
    listed = pointlab("data", "list", "--root", store)
    assert (listed.code, f"Prepared sets in {store}" in flat(listed.output)) == (0, True)
    verified = pointlab("data", "verify", shapes, "--root", store)
    assert f"{store}/datasets/{shapes}/{ODD.replace('/', '')}" in verified.output
    page = tmp_path / "page[" / "x].html"
    page.parent.mkdir()
    shown = pointlab("data", "show", shapes, "--root", store, "--output", page)
    assert shown.last_line == f"Page: {page}"
    imported = pointlab("data", "import", release, "--to", page.parent / "data] [red]")
    assert f"Unpacked into {page.parent}/data] [red]:" in imported.output


def test_a_dataset_s_own_file_is_prepared_by_run(pointlab: Command, tmp_path: Path) -> None:
    (tmp_path / "shapes.yaml").write_text(yaml.safe_dump({**SHAPES, "num_points": 64}))
    options = ("--root", tmp_path / "store", "--set", "launch.kind=local", "--set", "data.num_points=32")
    ended = pointlab("run", tmp_path / "shapes.yaml", *options)
    assert ended.code == 0
    assert ended.last_line.startswith("Dataset: ")
    found = pointlab("data", "verify", tmp_path / "shapes.yaml", *options)
    assert found.code == 0


def test_a_config_without_a_kind_is_told_the_kinds_and_nothing_else(
    pointlab: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    ended = pointlab("run", tmp_path / "mine.yaml")
    assert ended.code == 2
    assert "kind: missing" in ended.paragraph
    assert "did you mean" not in ended.paragraph


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        (
            "rgbd_frames",
            {"style": "7scenes"},
            {"num_points": 16384, "sampling": "random", "normalise": "none", "clouds_per_shard": 16},
        ),
        ("modelnet_c", {}, {"num_points": 1524, "sampling": "random", "normalise": "none"}),
        ("modelnet_h5", {}, {"num_points": 2048}),
        ("modelnet_h5", {"up_axis": "z", "num_points": 1024}, {"num_points": 1024}),
        ("npz", {}, {}),
    ],
)
def test_what_is_recommended_for_a_kind_is_what_its_fragment_says(
    kind: str, settings: dict[str, object], expected: dict[str, object]
) -> None:
    assert recommended(validate(SourceConfig, {"kind": kind, **settings}, "test")) == expected


def test_a_guess_is_marked_on_its_line_of_the_printed_config(pointlab: Command, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "chair").mkdir(parents=True)
        np.save(tmp_path / split / "chair/a.npy", POINTS[0])
    printed = pointlab("data", "detect", tmp_path).output
    (line,) = [each for each in printed.splitlines() if "up_axis" in each]
    assert re.fullmatch(r"    up_axis: [xyz-]+  # a guess that no file name tells: check it", line)


def test_a_misspelt_card_is_answered_with_the_nearest(pointlab: Command) -> None:
    ended = pointlab("data", "card", "modlenet")
    assert ended.code == 2
    assert re.search(r"no card 'modlenet'.*modelnet", ended.paragraph)


@pytest.mark.parametrize("meant", ["whole name", "short name", "experiment", "dataset"])
def test_a_set_is_found_by_its_name_and_by_its_config(
    meant: str, pointlab: Command, storage: Storage, shapes: str, tmp_path: Path
) -> None:
    (tmp_path / "shapes.yaml").write_text(yaml.safe_dump(SHAPES))
    asked = {
        "whole name": shapes,
        "short name": "shapes",
        "experiment": write_config(tmp_path, PREPARE),
        "dataset": tmp_path / "shapes.yaml",
    }[meant]
    ended = pointlab("data", "verify", asked, "--root", storage.address)
    assert (ended.code, ended.last_line.partition(" is whole")[0]) == (0, shapes)
    assert "rows: 16 test, 48 train, 16 validation" in ended.last_line


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_set_that_is_not_there_is_named_with_those_that_are(
    command: str, pointlab: Command, storage: Storage, shapes: str, tmp_path: Path
) -> None:
    ended = pointlab("data", command, "shape", "--root", storage.address)
    assert ended.code == 2
    assert "no prepared set 'shape'" in ended.paragraph
    assert shapes in ended.paragraph
    config = write_config(tmp_path, {**PREPARE, "data": {**SHAPES, "num_points": 63}})
    ended = pointlab("data", command, config, "--root", storage.address)
    assert ended.code == 2
    assert "is not prepared" in ended.paragraph


def test_a_name_of_several_sets_is_not_guessed(pointlab: Command, storage: Storage, shapes: str) -> None:
    folder = Path(storage.locate(f"datasets/{shapes}"))
    shutil.copytree(folder, folder.with_name("shapes-000000000000"))
    ended = pointlab("data", "verify", "shapes", "--root", storage.address)
    assert ended.code == 2
    assert f"shapes-000000000000, {shapes}" in ended.paragraph


def test_verify_names_every_damage_in_one_paragraph(pointlab: Command, storage: Storage, shapes: str) -> None:
    folder = Path(storage.locate(f"datasets/{shapes}"))
    shards = sorted(folder.glob("*.parquet"))
    flip_last_byte(shards[0])
    shards[-1].unlink()
    (folder / "leftover.parquet").write_bytes(b"")
    ended = pointlab("data", "verify", shapes, "--root", storage.address)
    assert ended.code == 2
    assert "2 place(s)" in ended.paragraph
    assert f"- {shards[0].name} has another sha256" in ended.paragraph
    assert f"- {shards[-1].name} is missing" in ended.paragraph
    assert "What to do" in ended.paragraph
    assert "leftover.parquet" in ended.output


def test_show_writes_a_page_and_says_where(
    pointlab: Command, storage: Storage, shapes: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ended = pointlab("data", "show", "shapes", "--root", storage.address, "--output", page)
    assert (ended.code, ended.last_line) == (0, f"Page: {page}")
    assert shapes in page.read_text()
    ended = pointlab(
        "data", "show", "shapes", "--root", storage.address, "--output", tmp_path / "no/page.html"
    )
    assert ended.code == 2
    assert "--output" in ended.paragraph


def test_an_archive_goes_in_and_its_config_prepares_it(
    pointlab: Command, release: Path, tmp_path: Path
) -> None:
    target = tmp_path / "my set"
    digest = hashlib.sha256(release.read_bytes()).hexdigest()
    ended = pointlab("data", "import", release, "--to", target, "--sha256", digest)
    assert ended.code == 0
    assert f"sha256 {digest}" in ended.output
    assert MODELNET.terms in flat(ended.complaint)
    config = tmp_path / "mine.yaml"
    config.write_text(ended.output[ended.output.index("kind: prepare") :])
    assert yaml.safe_load(config.read_text())["data"]["name"] == "my-set"
    store = tmp_path / "store"
    ended = pointlab("run", config, "--root", store, "--set", "launch.kind=local")
    assert ended.code == 0
    assert MODELNET.terms in flat(ended.complaint)  # at the first use of the set
    ended = pointlab("run", config, "--root", store, "--set", "launch.kind=local")
    assert MODELNET.terms not in flat(ended.complaint)
    ended = pointlab("data", "verify", "my-set", "--root", store, "--source", target)
    assert ended.code == 0
    assert ended.last_line.endswith("5 source files.")


def test_strict_ends_with_what_the_checks_found(pointlab: Command, release: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(release) as archive:
        archive.extractall(tmp_path / "leaky")
    shutil.copy(tmp_path / "leaky" / "train0.h5", tmp_path / "leaky" / "test0.h5")
    config = write_config(tmp_path, PREPARE | {"data": leaky_data(tmp_path / "leaky")})
    store = tmp_path / "store"
    ended = pointlab("run", config, "--root", store, "--strict", "--set", "launch.kind=local")
    assert ended.code == 2
    assert "copies across splits: 16 of 16 clouds" in flat(ended.complaint)
    assert pointlab("run", config, "--root", store, "--set", "launch.kind=local").code == 0
    assert pointlab("run", config, "--root", store, "--strict").code == 2


def leaky_data(root: Path) -> dict[str, object]:
    return {"name": "leaky", "source": {"kind": "modelnet_h5"}, "root": str(root), "num_points": 64}


def test_the_terms_of_the_card_that_was_named_are_shown(
    pointlab: Command, release: Path, tmp_path: Path
) -> None:
    named = CATALOGUE["7-scenes"]
    ended = pointlab("data", "import", release, "--to", tmp_path / "out", "--card", named.name)
    assert ended.code == 0
    assert named.terms in flat(ended.complaint)


def test_a_detected_folder_needs_no_archive(pointlab: Command, release: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(release) as archive:
        archive.extractall(tmp_path / "by-hand")
    ended = pointlab("data", "detect", tmp_path / "by-hand")
    assert ended.code == 0
    assert "kind: modelnet_h5" in ended.output


def hostile(folder: Path) -> list[str | Path]:
    entry = tarfile.TarInfo("../evil")
    with tarfile.open(folder / "bad.tar", "w") as archive:
        archive.addfile(entry, io.BytesIO())
    return ["import", folder / "bad.tar", "--to", folder / "out"]


BAD_INPUT: dict[str, tuple[Callable[[Path], list[str | Path]], str]] = {
    "hostile archive": (hostile, r"'\.\./evil' leads out.*data detect"),
    "no archive": (lambda folder: ["import", folder / "gone.zip", "--to", folder / "out"], "cannot be read"),
    "wrong checksum": (
        lambda folder: ["import", folder / "release.zip", "--to", folder / "out", "--sha256", "ab" * 32],
        "has sha256 .*abab.*download it again",
    ),
    "folder": (lambda folder: ["import", folder, "--to", folder / "out"], "is a folder.*data detect"),
    "unknown card": (
        lambda folder: ["import", folder / "release.zip", "--to", folder / "out", "--card", "nothing"],
        "no card 'nothing'",
    ),
    "existing target": (
        lambda folder: ["import", folder / "release.zip", "--to", folder],
        "exists already, and is left as it is.*--to",
    ),
    "nothing to detect": (lambda folder: ["detect", folder / "gone"], "no folder"),
    "no store": (lambda folder: ["verify", "x", "--root", folder / "gone"], "There is no .*gone.*--root"),
    "no config": (lambda folder: ["verify", folder / "gone.yaml"], r"no configuration file .*gone\.yaml"),
}


@pytest.mark.parametrize(("arguments", "found"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_ends_with_a_paragraph_and_leaves_nothing(
    arguments: Callable[[Path], list[str | Path]],
    found: str,
    pointlab: Command,
    release: Path,
    tmp_path: Path,
) -> None:
    given = arguments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    ended = pointlab("data", *given)
    assert ended.code == 2
    assert re.search(found, ended.paragraph, re.DOTALL)
    assert "\n\n" not in ended.paragraph
    assert sorted(tmp_path.rglob("*")) == before


def test_a_log_line_with_a_card_is_shown_as_its_terms(capsys: pytest.CaptureFixture[str]) -> None:
    handler = terminal.LogHandler(console=terminal.complaints)
    logger = logging.Logger("of the test")
    logger.addHandler(handler)
    logger.info("%s", MODELNET.notice(), extra={"card": MODELNET})
    logger.info("an ordinary line")
    shown = flat(capsys.readouterr().err)
    for text in (MODELNET.title, MODELNET.terms, MODELNET.citation, "an ordinary line"):
        assert text in shown


def test_a_line_of_a_log_that_is_no_terminal_is_whole_with_what_went_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.Logger("of the test")
    logger.addHandler(terminal.LogHandler(console=terminal.complaints))
    text = "the [red] folder " + "/long" * 60
    try:
        raise OSError("no room")
    except OSError:
        logger.exception("%s", text)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"ERROR    {text}"
    assert rest[-1] == "OSError: no room"


def test_a_card_is_found_with_or_without_its_dashes(pointlab: Command) -> None:
    assert pointlab("data", "card", "7scenes").output == pointlab("data", "card", "7-scenes").output
