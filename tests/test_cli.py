"""What the command line promises: its last line, its help, and a paragraph instead of a traceback."""

import json
import logging
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import typer
import yaml

from conftest import PRETRAIN, SHAPES, TRANSFER, tiny_pretrain
from pointlab import cli, launch
from pointlab.errors import ConfigError
from pointlab.experiment import load
from pointlab.storage import Record, Storage, open_storage, write_record
from pointlab.terminal import shown_progress

JOBS = Path(__file__).resolve().parent.parent / "jobs"
PREPARE = {"kind": "prepare", "data": SHAPES, "launch": {"kind": "local"}}
COMMANDS = [
    command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback
]
Arguments = list[str | Path]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it said on the two streams."""

    code: int
    output: str
    complaint: str

    @property
    def last_line(self) -> str:
        return self.output.splitlines()[-1]

    @property
    def paragraph(self) -> str:
        """The message at the end, after log lines and progress bars."""
        return self.complaint.partition("Error: ")[2].strip()


Command = Callable[..., Ended]


@pytest.fixture
def pointlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`pointlab ARGUMENTS` in this process; what would be a traceback leaves `main` and fails the test."""
    monkeypatch.setattr(logging.getLogger("pointlab"), "handlers", [])

    def command(*arguments: str | Path, main: Callable[[], Any] = cli.main) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pointlab", *map(str, arguments)])
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return Ended(code, *capsys.readouterr())

    return command


@pytest.fixture
def desk(storage: Storage, tmp_path: Path) -> Path:
    """A folder with the tiny experiments as files, and a `store` that holds their prepared sets."""
    for settings in (PRETRAIN, TRANSFER):
        write_config(tmp_path, settings)
    return tmp_path


def write_config(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / f"{settings['kind']}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def in_store(folder: Path, name: str = "pretrain", *assignments: str) -> Arguments:
    """Arguments that run one of the folder's experiments, with overrides, in the folder's store."""
    overrides = [part for assignment in assignments for part in ("--set", assignment)]
    return ["run", folder / f"{name}.yaml", "--root", folder / "store", *overrides]


@pytest.mark.parametrize("settings", [PREPARE, PRETRAIN, TRANSFER], ids=lambda settings: settings["kind"])
def test_a_dry_run_prints_a_config_that_loads_back_equal(
    settings: dict[str, Any], pointlab: Command, tmp_path: Path
) -> None:
    config, root = write_config(tmp_path, settings), tmp_path / "-".join(["a-long-name"] * 12)
    printed = tmp_path / "printed.yaml"
    printed.write_text(pointlab("run", config, "--dry-run", "--root", root).output)
    assert load(printed) == load(config, [f"storage.root={root}"])
    assert not root.exists()


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("seed", "3", 3),
        ("training.optimiser.learning_rate", "1e-4", 1e-4),
        ("training.optimiser.clip_norm", "null", None),
        ("augmentation.scale", "[1, 2]", [1, 2]),
        ("data.source.num_train_per_class", "2", 2),
        ("pretrained.data.source.num_test_per_class", "7", 7),
    ],
)
def test_set_reaches_every_key_by_its_dotted_path(
    path: str, text: str, value: object, pointlab: Command, tmp_path: Path
) -> None:
    config = write_config(tmp_path, TRANSFER)
    found = yaml.safe_load(pointlab("run", config, "--dry-run", "--set", f"{path}={text}").output)
    for key in path.split("."):
        found = found[key]
    assert found == value


def test_the_last_line_of_a_run_names_its_record_and_its_report(pointlab: Command, desk: Path) -> None:
    ended = pointlab(*in_store(desk))
    assert ended.code == 0
    line = re.fullmatch(r"Record: (\S+)  Report: (\S+)", ended.last_line)
    assert line is not None
    record, report = (Path(place).read_text() for place in line.groups())
    assert json.loads(record)["name"] == PRETRAIN["name"]
    assert report.lstrip().lower().startswith("<!doctype html>")


def test_the_last_line_of_a_preparation_names_the_manifest(pointlab: Command, tmp_path: Path) -> None:
    ended = pointlab("run", write_config(tmp_path, PREPARE), "--root", tmp_path / "new")
    assert ended.code == 0
    manifest = json.loads(Path(ended.last_line.removeprefix("Dataset: ")).read_text())
    assert manifest["details"]["name"] == SHAPES["name"]


@pytest.mark.parametrize("settings", [PREPARE, PRETRAIN], ids=lambda settings: settings["kind"])
def test_a_second_run_says_that_it_was_finished_before_and_is_quick(
    settings: dict[str, Any], pointlab: Command, desk: Path
) -> None:
    arguments = ["run", write_config(desk, settings), "--root", desk / "store"]
    first = pointlab(*arguments)
    files = state_of(desk)
    begin = time.perf_counter()
    second = pointlab(*arguments)
    assert time.perf_counter() - begin < 2
    assert "Finished before" in second.output
    assert (second.code, second.last_line) == (0, first.last_line)
    assert state_of(desk) == files


def state_of(folder: Path) -> dict[Path, int]:
    """Every file below `folder` and when it was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_rerun_makes_another_attempt_and_keeps_the_first(pointlab: Command, desk: Path) -> None:
    lines = [pointlab(*in_store(desk), *options).last_line for options in ((), ("--rerun",))]
    assert lines[1] == lines[0].replace("-s0/", "-s0-attempt2/")
    assert all(Path(line.split()[1]).is_file() for line in lines)


@pytest.fixture
def record(storage: Storage) -> Record:
    """The record, in the store, of a run whose name does not fit into a narrow column."""
    record = Record(
        run="a-name-that-says-rather-much-of-what-was-tried-0123456789-s0",
        kind="pretrain",
        name="a-name-that-says-rather-much-of-what-was-tried",
        seed=0,
        protocol="pretraining/supervised",
        config={"kind": "pretrain"},
        code_version="1",
        metrics={"validation/accuracy": 0.75},
    )
    write_record(storage, record)
    return record


def test_show_lists_every_run_by_its_whole_name(pointlab: Command, storage: Storage, record: Record) -> None:
    write_record(storage, record.model_copy(update={"run": "another-0123456789-s1"}))
    ended = pointlab("show", "--root", storage.address)
    assert ended.code == 0
    assert record.run in ended.output
    assert "another-0123456789-s1" in ended.output


def test_show_lists_no_accuracy_under_a_single_corruption(
    pointlab: Command, storage: Storage, record: Record
) -> None:
    metrics = {"test/accuracy": 0.75, "test/scale/1/accuracy": 0.5, "test/scale/accuracy": 0.625}
    write_record(storage, record.model_copy(update={"run": "measured-0123456789-s0", "metrics": metrics}))
    shown = pointlab("show", "--root", storage.address).output
    assert "test 75.0%" in shown
    assert "scale" not in shown


def test_show_prints_the_record_of_one_run(pointlab: Command, storage: Storage, record: Record) -> None:
    ended = pointlab("show", record.run, "--root", storage.address)
    assert ended.code == 0
    assert json.loads(ended.output) == record.model_dump(mode="json")


def test_show_lists_the_runs_whose_names_hold_a_word(
    pointlab: Command, storage: Storage, record: Record
) -> None:
    write_record(storage, record.model_copy(update={"run": "another-0123456789-s1"}))
    shown = pointlab("show", "other", "--root", storage.address).output
    assert "another-0123456789-s1" in shown
    assert record.run not in shown


def test_show_names_the_nearest_run_for_a_misspelt_one_and_what_to_do_for_an_unfinished_one(
    pointlab: Command, storage: Storage, record: Record
) -> None:
    write_record(storage, record.model_copy(update={"run": "another-0123456789-s1"}))
    storage.write("runs/begun-0123456789-s0/config.yaml", b"kind: pretrain\n")
    misspelt = pointlab("show", "anothr-0123456789-s1", "--root", storage.address)
    assert (misspelt.code, "a run, such as another-0123456789-s1" in misspelt.paragraph) == (2, True)
    begun = pointlab("show", "begun-0123456789-s0", "--root", storage.address)
    assert (begun.code, "is not finished" in begun.paragraph) == (2, True)


def test_settings_that_the_set_refuses_leave_no_unfinished_run(pointlab: Command, storage: Storage) -> None:
    contrast = {"kind": "contrastive", "momentum": {"queue_size": 1_000_000}}
    with pytest.raises(ConfigError, match="queue_size"):
        launch.run(tiny_pretrain(storage, paradigm=contrast, augmentation={"jitter": 0.01}))
    assert "unfinished" not in pointlab("show", "--root", storage.address).output


def test_ctrl_c_is_answered_with_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), shown_progress():
        raise KeyboardInterrupt
    assert "the same command goes on" in capsys.readouterr().err


def test_report_writes_a_page_and_says_where(
    pointlab: Command, storage: Storage, record: Record, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    ended = pointlab("report", record.run, "--root", storage.address, "--output", page)
    assert (ended.code, ended.last_line) == (0, f"Report: {page}")
    assert record.run in page.read_text()


def test_a_page_that_cannot_be_written_is_named(
    pointlab: Command, storage: Storage, record: Record, tmp_path: Path
) -> None:
    page = tmp_path / "no-folder/page.html"
    ended = pointlab("report", record.run, "--root", storage.address, "--output", page)
    assert ended.code == 2
    assert f"{page} cannot be written" in ended.paragraph
    assert "--output" in ended.paragraph


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str, pointlab: Command) -> None:
    ended = pointlab(command, "--help")
    assert ended.code == 0
    assert f"Example: pointlab {command}" in ended.output


@pytest.mark.parametrize(
    "path", ["show", "records", "report", "import", "export", "data list", "track mlflow", "track wandb"]
)
def test_a_command_without_a_config_says_which_root_is_the_usual(path: str) -> None:
    command: Any = typer.main.get_command(cli.app)
    for name in path.split():
        command = command.commands[name]
    (root,) = (each for each in command.params if each.name == "root")
    assert root.opts == ["--root"]
    assert "(default: results)" in root.help


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda path: path.stem)
def test_the_help_of_every_job_has_an_example(job: Path, pointlab: Command) -> None:
    ended = pointlab("--help", main=lambda: runpy.run_path(str(job), run_name="__main__"))
    assert ended.code == 0
    assert f"Example: python jobs/{job.name}" in ended.output


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda path: path.stem)
def test_a_job_refuses_a_config_of_another_kind_and_names_its_job(
    job: Path, pointlab: Command, tmp_path: Path
) -> None:
    other = PREPARE if job.stem != "prepare" else PRETRAIN
    ended = pointlab(
        write_config(tmp_path, other), main=lambda: runpy.run_path(str(job), run_name="__main__")
    )
    assert ended.code == 2
    assert f"is of kind '{other['kind']}'" in ended.paragraph
    assert f"use jobs/{other['kind']}.py" in ended.paragraph


def test_a_job_runs_from_any_folder_without_pointlab_on_the_path(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, JOBS / "prepare.py", write_config(tmp_path, PREPARE), "--root", "store"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / ended.stdout.splitlines()[-1].removeprefix("Dataset: ")).is_file()


# Bad input. Each maker below spoils a desk and returns the arguments of a command that meets the damage.

POINTS = np.random.default_rng(0).normal(size=(8, 80, 3)).astype(np.float32)
LABELS = np.arange(8) % 2


def write_h5(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)


def on_h5(folder: Path, *assignments: str, **train: np.ndarray) -> Arguments:
    """Pretrain on an own release in HDF5, whose training file holds these arrays; two classes, 80 points."""
    (folder / "release").mkdir(exist_ok=True)
    write_h5(folder / "release/train0.h5", **(train or {"data": POINTS, "label": LABELS}))
    write_h5(folder / "release/test0.h5", data=POINTS, label=LABELS)
    for name, text in [
        ("shape_names", "chair\ntable"),
        ("train_files", "train0.h5"),
        ("test_files", "test0.h5"),
    ]:
        (folder / f"release/{name}.txt").write_text(text)
    return on_release(folder, "modelnet_h5", *assignments)


def on_release(folder: Path, kind: str, *assignments: str) -> Arguments:
    data = {"name": "mine", "source": {"kind": kind}, "root": str(folder / "release"), "num_points": 64}
    write_config(folder, {**PRETRAIN, "data": data | {"validation_fraction": 0.25}})
    return in_store(folder, "pretrain", *assignments)


def without_test_file(folder: Path) -> Arguments:
    arguments = on_h5(folder)
    (folder / "release/test0.h5").unlink()
    return arguments


def with_nan(folder: Path) -> Arguments:
    points = POINTS.copy()
    points[3, 5] = np.nan
    return on_h5(folder, data=points, label=LABELS)


def with_nothing_usable(folder: Path) -> Arguments:
    return on_h5(folder, "data.bad_clouds=drop", data=np.full_like(POINTS, np.nan), label=LABELS)


def with_normals_in_one_file_of_two(folder: Path) -> Arguments:
    arguments = on_h5(folder)
    write_h5(folder / "release/train1.h5", data=POINTS, label=LABELS, normal=POINTS)
    (folder / "release/train_files.txt").write_text("train0.h5\ntrain1.h5")
    return arguments


def with_empty_txt_cloud(folder: Path) -> Arguments:
    (folder / "release/chair").mkdir(parents=True)
    for name, text in [("shape_names", "chair"), ("train", "chair_0001"), ("test", "chair_0002")]:
        (folder / f"release/modelnet40_{name}.txt").write_text(text)
        (folder / f"release/chair/{text}.txt").write_text("")
    return on_release(folder, "modelnet_txt")


def with_empty_off_mesh(folder: Path) -> Arguments:
    for split in ("train", "test"):
        (folder / f"release/chair/{split}").mkdir(parents=True)
        (folder / f"release/chair/{split}/chair_{split}.off").write_text("OFF\n0 0 0\n")
    return on_release(folder, "modelnet_off")


def pretrained(folder: Path) -> Path:
    """The model of a finished tiny pretraining, which the tiny transfer starts from."""
    outcome = launch.run(tiny_pretrain(open_storage(str(folder / "store"))))
    return folder / "store" / outcome.path / "model"


def with_weights_of_another_width(folder: Path) -> Arguments:
    model = pretrained(folder)
    wider = tiny_pretrain(
        open_storage(str(folder / "store")), backbone={"width": 24}, training={"epochs": 0.5}
    )
    shutil.rmtree(model)
    shutil.copytree(folder / "store" / launch.run(wider).path / "model", model)
    return in_store(folder, "transfer")


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def with_damaged_weights(folder: Path) -> Arguments:
    flip_last_byte(pretrained(folder) / "backbone.safetensors")
    return in_store(folder, "transfer")


def with_half_a_manifest(folder: Path) -> Arguments:
    manifest = pretrained(folder).parent / "record/manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    return ["show", manifest.parent.parent.name, "--root", folder / "store"]


BAD_INPUT: dict[str, tuple[Callable[[Path], Arguments], str, str]] = {
    "no config file": (
        lambda folder: ["run", folder / "gone.yaml"],
        r"no configuration file .*gone\.yaml",
        "check the path",
    ),
    "misspelt key": (
        lambda folder: in_store(folder, "pretrain", "training.epcohs=3"),
        r"training\.epcohs: unknown key",
        "did you mean 'epochs'",
    ),
    "singular of a key beside it": (
        lambda folder: in_store(folder, "pretrain", "training.epoch=3"),
        r"training\.epoch: unknown key",
        "did you mean 'epochs'",
    ),
    "misspelt kind": (
        lambda folder: in_store(folder, "pretrain", "kind=pretran"),
        "- kind: .*'pretran'",
        "'pretrain'",
    ),
    "misspelt kind within": (
        lambda folder: in_store(folder, "pretrain", "data.source.kind=shape"),
        r"- data\.source\.kind: .*'shape'",
        "'shapes'",
    ),
    "several mistakes": (
        lambda folder: in_store(folder, "pretrain", "training.epcohs=3", "seed=-1", "name=Not This"),
        r"3 mistake.*'Not This'.*seed.*-1.*epcohs",
        "greater than or equal to 0.*did you mean 'epochs'",
    ),
    "override without a value": (
        lambda folder: in_store(folder, "pretrain", "seed"),
        "--set got 'seed'",
        "such as seed=1",
    ),
    "override that is no YAML": (
        lambda folder: in_store(folder, "pretrain", "seed=[1"),
        r"\[1",
        r"Expected|What to do",
    ),
    "no data root": (
        lambda folder: on_release(folder, "modelnet_h5"),
        r"root \S+release .*is not a folder",
        "download and unpack",
    ),
    "data root not given": (
        lambda folder: on_release(folder, "modelnet_h5", "data.root=null"),
        r"has no mine \(data, kind modelnet_h5\), and their root is not given",
        r"--set data\.root=",
    ),
    "no data file": (without_test_file, r"no file \S+test0\.h5", "unpack the release again"),
    "wrong key in h5": (
        lambda folder: on_h5(folder, points=POINTS, label=LABELS),
        r"train0\.h5 holds the keys \['label', 'points'\].*'data'",
        "check that `kind`",
    ),
    "NaN points": (with_nan, r"Row 3 of train0\.h5 .*NaN or infinite \(1 of \d+\)", "bad_clouds=drop"),
    "nothing usable": (with_nothing_usable, "train", "Expected|What to do"),
    "normals in one file of two": (with_normals_in_one_file_of_two, "normal", "Expected|What to do"),
    "empty cloud in txt": (with_empty_txt_cloud, r"chair_000\d\.txt is empty", "download it again"),
    "empty mesh in off": (
        with_empty_off_mesh,
        r"chair_\w+\.off has 0 vertices",
        "unpack this file from the release again",
    ),
    "label outside the classes": (
        lambda folder: on_h5(folder, data=POINTS, label=LABELS + 1),
        r"train0\.h5 has label 2 in row 1.*0 to 1",
        "list of class names belongs to this file",
    ),
    "unwritable root": (
        lambda folder: ["run", folder / "pretrain.yaml", "--root", folder / "pretrain.yaml/below"],
        r"pretrain\.yaml/below.* cannot be written",
        "--root",
    ),
    "more points than prepared": (
        lambda folder: in_store(folder, "pretrain", "num_points=65"),
        "num_points is 65, .* 64 points",
        "lower num_points",
    ),
    "unknown run to show": (
        lambda folder: ["show", "nope", "--root", folder / "store"],
        "There is no run 'nope'",
        "pointlab show lists all",
    ),
    "unknown run to report": (
        lambda folder: ["report", "nope", "--root", folder / "store"],
        "no run 'nope'",
        "pointlab show",
    ),
    "pretrained weights that do not fit": (
        with_weights_of_another_width,
        r"Weights do not fit PatchTransformer.*\(24,\), not \(16,\)",
        "compare the backbone sections",
    ),
    "damaged weights": (with_damaged_weights, r"backbone\.safetensors is damaged", "delete .* and run again"),
    "half a manifest": (with_half_a_manifest, r"record/manifest\.json", "What to do"),
}


@pytest.mark.parametrize(("spoil", "found", "remedy"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_ends_with_a_paragraph_and_leaves_nothing_half_written(
    spoil: Callable[[Path], Arguments], found: str, remedy: str, pointlab: Command, desk: Path
) -> None:
    arguments = spoil(desk)
    before = state_of(desk)
    ended = pointlab(*arguments)
    assert ended.code == 2
    assert re.search(found, ended.paragraph, re.DOTALL)
    assert re.search(remedy, ended.paragraph, re.DOTALL)
    assert "\n\n" not in ended.paragraph
    new = state_of(desk).keys() - before.keys()
    assert [path for path in new if path.name in ("manifest.json", "record.json")] == []
    assert [path for path in new if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "path", ["epcohs", "training.epcohs", "data.source.num_point", "backbone.widht", "paradigm.head.kinds"]
)
def test_a_mistake_is_named_by_the_path_that_set_takes(path: str, pointlab: Command, desk: Path) -> None:
    assert f"- {path}: unknown key" in pointlab(*in_store(desk, "pretrain", f"{path}=1")).paragraph


@pytest.mark.parametrize(
    ("variable", "value"),
    [("POINTLAB_CACHE", __file__), ("POINTLAB_CACHE_BYTES", "much")],
    ids=["folder", "bound"],
)
def test_an_unusable_cache_setting_is_named(
    variable: str, value: str, pointlab: Command, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", str(desk / "cache"))
    monkeypatch.setenv(variable, value)
    ended = pointlab(*in_store(desk))
    assert ended.code == 2
    assert variable in ended.paragraph
    assert value in ended.paragraph


@pytest.mark.parametrize(("name", "selection"), [("pretrain", "best"), ("transfer", "last")])
def test_a_choice_without_a_validation_split_is_refused_before_training(
    name: str, selection: str, pointlab: Command, desk: Path
) -> None:
    pretrained(desk)
    ended = pointlab(*in_store(desk, name, "data.validation_fraction=0", f"training.selection={selection}"))
    assert ended.code == 2
    assert "no validation split" in ended.paragraph
    assert "data.validation_fraction" in ended.paragraph
    assert "steps 0 to" not in ended.complaint


def test_a_transfer_that_cannot_start_is_refused_before_its_pretraining(
    pointlab: Command, desk: Path
) -> None:
    ended = pointlab(*in_store(desk, "transfer", "num_points=65"))
    assert ended.code == 2
    assert "num_points is 65" in ended.paragraph
    assert open_storage(str(desk / "store")).folders("runs") == []


def test_a_damaged_model_is_made_anew_as_its_message_says(pointlab: Command, desk: Path) -> None:
    ended = pointlab(*with_damaged_weights(desk))
    advice = re.search(r"delete (\S+) and run again", ended.paragraph)
    assert advice is not None
    shutil.rmtree(advice.group(1))
    assert pointlab(*in_store(desk, "transfer", "protocol=linear_probe")).code == 0


def test_a_set_without_a_train_split_is_refused_by_name(pointlab: Command, desk: Path) -> None:
    ended = pointlab(*in_store(desk, "pretrain", "data.source.num_train_per_class=0"))
    assert ended.code == 2
    assert re.search(r"shapes-\w+ has no train split.*What to do", ended.paragraph, re.DOTALL)


def test_looking_at_a_store_that_is_not_there_does_not_make_one(pointlab: Command, tmp_path: Path) -> None:
    pointlab("show", "--root", tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()
