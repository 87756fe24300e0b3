"""A config becomes a command that anyone could have typed, and its mistakes are told before it is sent."""

import os
import shlex
from pathlib import Path

import pytest
import yaml

from conftest import PRETRAIN, SHAPES
from pointlab.config import merge
from pointlab.engine.jobs.job import Order
from pointlab.errors import ConfigError
from pointlab.submission import Options, order_for
from tiny_recon import RECON

ROOT = "storage.root=s3://bucket/prefix"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a config that extends another."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.yaml").write_text(yaml.safe_dump(PRETRAIN))
    (tmp_path / "configs" / "run.yaml").write_text("extends: base.yaml\nlaunch: {kind: ray}\n")
    return tmp_path


def order(folder: Path, *overrides: str, config: str = "configs/run.yaml", rerun: bool = False) -> Order:
    """The order for a config of the folder, all of which is shipped."""
    return order_for(folder / config, folder, Options((ROOT, *overrides), rerun), files_in(folder))


def files_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def add(folder: Path, *names: str) -> None:
    """Have these files in the folder, empty."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_with_the_source_the_command_is_the_script_of_its_kind(folder: Path) -> None:
    add(folder, "platform/pointlab/__init__.py", "jobs/pretrain.py")
    asked = order(folder, "backbone.depth=1", rerun=True)
    assert asked.command == (
        "python jobs/pretrain.py configs/run.yaml"
        " --set storage.root=s3://bucket/prefix --set backbone.depth=1 --rerun"
    )
    assert asked.variables["PYTHONPATH"] == "platform"


def test_without_the_script_the_source_runs_by_its_command(folder: Path) -> None:
    add(folder, "platform/pointlab/__init__.py", "jobs/transfer.py")
    asked = order(folder)
    assert asked.command.startswith("python -m pointlab.cli run configs/run.yaml ")
    assert asked.variables["PYTHONPATH"] == "platform"


def test_a_script_of_another_project_is_not_taken_for_ours(folder: Path) -> None:
    add(folder, "jobs/pretrain.py")
    assert order(folder).command.startswith("python -m pointlab.cli run ")


def test_source_that_stays_behind_does_not_count(folder: Path) -> None:
    add(folder, "platform/pointlab/__init__.py", "jobs/pretrain.py")
    shipped = [name for name in files_in(folder) if not name.startswith("platform/")]
    asked = order_for(folder / "configs/run.yaml", folder, Options((ROOT,)), shipped)
    assert asked.command.startswith("python -m pointlab.cli run ")
    assert "PYTHONPATH" not in asked.variables


def test_source_without_one_of_its_packages_is_refused(folder: Path) -> None:
    add(folder, "platform/pointlab/__init__.py", "platform/pointlab/data/sample.py")
    shipped = [name for name in files_in(folder) if "/data/" not in name]
    with pytest.raises(ConfigError, match=r"without platform/pointlab/data/sample\.py.*gitignore"):
        order_for(folder / "configs/run.yaml", folder, Options((ROOT,)), shipped)


def test_without_the_source_it_is_what_the_cluster_has_installed(folder: Path) -> None:
    asked = order(folder)
    assert asked.command.startswith("python -m pointlab.cli run configs/run.yaml ")
    assert "PYTHONPATH" not in asked.variables


def test_a_value_with_blanks_stays_one_word_of_the_shell(folder: Path) -> None:
    assert shlex.split(order(folder, "training.epochs=3 # few").command)[-1] == "training.epochs=3 # few"


def test_equal_work_has_one_name_whatever_it_is_launched_on(folder: Path) -> None:
    name = order(folder).name
    assert name.startswith("tiny-s0-")
    assert order(folder, "launch.num_workers=2", "launch.gpus_per_worker=1").name == name
    others = [
        order(folder, "seed=1").name,
        order(folder, "backbone.depth=1").name,
        order(folder, "storage.root=s3://bucket/other").name,
        order(folder, rerun=True).name,
    ]
    assert len({name, *others}) == 5


def test_a_preparation_is_named_after_its_set(folder: Path) -> None:
    (folder / "prepare.yaml").write_text(yaml.safe_dump({"kind": "prepare", "data": SHAPES}))
    assert order(folder, config="prepare.yaml").name.startswith("shapes-")


def test_what_runs_in_its_own_process_reserves_what_a_worker_would(folder: Path) -> None:
    on_ray = order(folder, "launch.gpus_per_worker=1")
    alone = order(folder, "launch.kind=local", "launch.cpus_per_worker=2", "launch.gpus_per_worker=1")
    assert (on_ray.cpus, on_ray.gpus) == (0, 0)
    assert (alone.cpus, alone.gpus) == (2, 1)


def test_a_teacher_goes_by_its_hash_wherever_its_folder_lies(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "teacher").mkdir()
    teacher = {"kind": "folder", "path": "teacher", "sha256": "0" * 64}
    taught = merge(RECON, {"image_teacher": teacher, "text_teacher": teacher})
    (folder / "taught.yaml").write_text(yaml.safe_dump(taught))
    elsewhere = order(folder, config="taught.yaml").name
    monkeypatch.chdir(folder)
    assert order(folder, config="taught.yaml").name == elsewhere
    others = {"image_teacher.sha256": "1" * 64, "text_teacher.sha256": "1" * 64}
    settings = [f"{path}={value}" for path, value in others.items()]
    assert order(folder, *settings, config="taught.yaml").name != elsewhere


def test_a_mistake_is_told_as_always(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"backbone\.dept: unknown key.*depth"):
        order(folder, "backbone.dept=1")


def test_a_config_outside_the_folder_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"not inside.*--working-dir"):
        order_for(folder / "configs" / "run.yaml", folder / "jobs", Options((ROOT,)), [])


@pytest.mark.parametrize("missing", ["configs/base.yaml", "configs/run.yaml"])
def test_a_file_that_would_not_be_there_is_told_before_anything_is_sent(folder: Path, missing: str) -> None:
    shipped = {"configs/base.yaml", "configs/run.yaml"} - {missing}
    with pytest.raises(ConfigError, match=rf"In what the job gets.*{Path(missing).name}.*rayignore"):
        order_for(folder / "configs" / "run.yaml", folder, Options((ROOT,)), shipped)


def test_a_file_that_a_setting_extends_is_looked_for_as_well(folder: Path) -> None:
    (folder / "big.yaml").write_text(yaml.safe_dump(PRETRAIN["backbone"]))
    assert order(folder, "backbone={extends: big.yaml}").name == order(folder).name
    shipped = {"configs/base.yaml", "configs/run.yaml"}
    options = Options((ROOT, "backbone={extends: big.yaml}"))
    with pytest.raises(ConfigError, match=r"In what the job gets.*big\.yaml"):
        order_for(folder / "configs" / "run.yaml", folder, options, shipped)


def test_a_config_is_read_without_moving_the_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is that of all threads: one that looks for a file meanwhile would not find it."""
    moves: list[str] = []
    monkeypatch.setattr(os, "chdir", moves.append)
    order(folder)
    with pytest.raises(ConfigError):
        order(folder, "backbone.dept=1")
    assert moves == []


@pytest.mark.parametrize("kind", ["prepare", "study"])
def test_what_has_no_second_attempt_is_told_before_anything_is_sent(folder: Path, kind: str) -> None:
    configs = Path(__file__).resolve().parents[2] / "configs"
    config = {"prepare": "data/shapes.yaml", "study": "study/tiny.yaml"}[kind]
    options = Options((ROOT,), rerun=True)
    files = files_in(configs.parent / "configs")
    with pytest.raises(ConfigError, match=r"no second attempt.*drop --rerun"):
        order_for(configs / config, configs, options, files)


@pytest.mark.parametrize("root", ["results", "./here", "../there"])
def test_a_root_that_each_node_would_have_for_itself_is_refused(folder: Path, root: str) -> None:
    with pytest.raises(ConfigError, match=r"own unpacked folder.*--root"):
        order(folder, f"storage.root={root}")
