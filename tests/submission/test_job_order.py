"""A config becomes a command that anyone could have typed, and its mistakes are told before it is sent."""

import shlex
from pathlib import Path

import pytest
import yaml

from conftest import PRETRAIN, SHAPES
from pointlab.engine.jobs.job import Order
from pointlab.errors import ConfigError
from pointlab.submission import Options, order_for, variables_for

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
    options = Options((ROOT, *overrides), rerun)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return order_for(folder / config, folder, options, files)


def test_with_the_source_the_command_is_the_script_of_its_kind(folder: Path) -> None:
    package = folder / "platform" / "pointlab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    asked = order(folder, "backbone.depth=1", rerun=True)
    assert asked.command == (
        "python jobs/pretrain.py configs/run.yaml"
        " --set storage.root=s3://bucket/prefix --set backbone.depth=1 --rerun"
    )
    assert asked.variables["PYTHONPATH"] == "platform"


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


@pytest.mark.parametrize("root", ["results", "./here", "../there"])
def test_a_root_that_each_node_would_have_for_itself_is_refused(folder: Path, root: str) -> None:
    with pytest.raises(ConfigError, match=r"own unpacked folder.*--root"):
        order(folder, f"storage.root={root}")


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
        "HF_TOKEN",
        "WANDB_API_KEY",
        "REDIS_PASSWORD",
    ],
)
def test_a_credential_is_never_sent_along(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hidden")
    assert "hidden" not in variables_for(folder).values()
    with pytest.raises(ConfigError, match=r"Ray stores and shows.*Secret"):
        variables_for(folder, [name])


def test_a_chosen_variable_is_sent_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTLAB_CACHE", "/scratch")
    monkeypatch.delenv("POINTLAB_NOTHING", raising=False)
    assert variables_for(folder, ["POINTLAB_CACHE"])["POINTLAB_CACHE"] == "/scratch"
    with pytest.raises(ConfigError, match="not set here"):
        variables_for(folder, ["POINTLAB_NOTHING"])
