"""The image: its stages and what goes into it; at length, that its install lines give a working pointlab."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
ENVIRONMENT = "/opt/pointlab"


def instructions(stage: int | None = None) -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined; of one stage, or of all."""
    text = re.sub(r"\\\n\s*", "", (CLUSTER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]
    if stage is None:
        return found
    starts = [place for place, (name, _) in enumerate(found) if name == "FROM"]
    return found[starts[stage] : [*starts, len(found)][stage + 1]]


def arguments(name: str, stage: int | None = None) -> list[str]:
    return [value for found, value in instructions(stage) if found == name]


def test_the_image_is_built_in_one_stage_and_run_in_another() -> None:
    assert arguments("FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    assert arguments("COPY", 1) == [f"--from=build {ENVIRONMENT} {ENVIRONMENT}"]
    assert not [run for run in arguments("RUN", 1) if "pip" in run]


def test_the_image_runs_as_a_user_without_rights_and_knows_no_secret() -> None:
    from pointlab.kuberay.pods import USER

    assert arguments("USER", 1) == [f"{USER}:{USER}"]
    assert [name for name, _ in instructions(1)].index("USER") > [n for n, _ in instructions(1)].index("RUN")
    said = " ".join(arguments("ENV") + arguments("ARG"))
    assert not re.search(r"(?i)secret|token|password|access_key", said)


def test_the_base_is_a_version_that_pointlab_runs_on() -> None:
    [base] = [each for each in arguments("ARG") if each.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.(1[1-9])\.\d+-slim-\w+", base)


def test_what_is_copied_is_there_and_let_through() -> None:
    sources = [source for each in arguments("COPY", 0) for source in each.split()[:-1]]
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(sources)


def test_every_installation_is_pinned_by_the_constraints() -> None:
    installs = [run for run in arguments("RUN", 0) if "pip install" in run]
    assert len(installs) == 2
    assert all("-c cluster/constraints.txt" in run for run in installs)
    assert "--index-url ${TORCH_INDEX} torch" in installs[0]


def test_the_launcher_of_virtual_machines_is_what_ray_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    from pointlab.kuberay import ManifestSettings

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    given = yaml.safe_load((CLUSTER / "launcher.yaml").read_text())
    config = prepare_config(given)
    validate_config(config)
    assert config["docker"]["image"] == ManifestSettings().image
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    for node in config["available_node_types"].values():
        assert not any(node.get(name) for name in ("setup_commands", "worker_setup_commands"))
    assert given["setup_commands"] == []
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]
    assert not re.search(r"AKIA|aws_secret", (CLUSTER / "launcher.yaml").read_text())


@pytest.mark.slow
def test_the_install_lines_give_a_pointlab_that_runs(tmp_path: Path) -> None:
    """Not the image, which needs a builder of images, but every line of it, in a fresh place."""
    place, environment = tmp_path / "build", tmp_path / "pointlab"
    place.mkdir()
    for name, value in instructions(0):
        if name == "COPY":
            *sources, target = value.split()
            for source in sources:
                _copy(
                    ROOT / source,
                    place / target / Path(source).name if target.endswith("/") else place / target,
                )
        if name == "RUN":
            line = value.replace(ENVIRONMENT, str(environment)).replace("--index-url ${TORCH_INDEX}", "")
            command = [sys.executable if word == "python" else word for word in shlex.split(line)]
            subprocess.run(command, cwd=place, check=True, timeout=1500)
    found = _said(
        environment, "python", "-c", "import ray, torch, pointlab; print(ray.__version__, torch.__version__)"
    )
    pins = dict(
        line.split("==") for line in (CLUSTER / "constraints.txt").read_text().splitlines() if "==" in line
    )
    ray_version, torch_version = found.split()
    assert (ray_version, torch_version.partition("+")[0]) == (pins["ray"], pins["torch"])
    assert "No broken requirements" in _said(environment, "python", "-m", "pip", "check")
    config = (
        environment
        / "lib"
        / "python3.11"
        / "site-packages"
        / "pointlab"
        / "configs"
        / "demo"
        / "pretrain.yaml"
    )
    assert "demo-pretrain" in _said(environment, "pointlab", "run", str(config), "--dry-run", cwd=tmp_path)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _said(environment: Path, program: str, *words: str, cwd: Path | None = None) -> str:
    finished = subprocess.run(
        [environment / "bin" / program, *words],
        cwd=cwd or environment,
        env={"PATH": "/usr/bin:/bin", "HOME": str(environment)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout
