"""What the repository promises about itself: its layout, its configurations, its layers and its size."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pointlab.config import dump, read_yaml, validate

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "platform"
SCRIPTS = sorted((ROOT / "jobs").glob("*.py"))
MODULES = sorted(SOURCE.rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
FRAGMENTS = [path for path in CONFIGS if path.parent.name in {"data", "backbones"}]
CLASS_MAPS = [path for path in CONFIGS if path.parent.name == "classes"]
EXPERIMENTS = [path for path in CONFIGS if path not in (*FRAGMENTS, *CLASS_MAPS)]
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "Makefile"}
TOP_LEVEL |= {"platform", "jobs", "cluster", "tests", "configs", "docs", "benchmarks"}
MAY_KNOW_RAY = ("pointlab.engine",)


def in_repository(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project_files() -> list[Path]:
    """Files under version control, or in a copy without it those that are not hidden or generated."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        names = [name for name in listing.stdout.split("\0") if name]
    except FileNotFoundError:
        names = []
    if names:
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    generated = {"__pycache__", "build", "dist"}
    paths = [path for path in ROOT.rglob("*") if path.is_file()]
    return [
        path
        for path in paths
        if not any(part.startswith(".") or part in generated for part in path.relative_to(ROOT).parts)
    ]


def python(program: str, *arguments: str) -> str:
    """What `program` prints when run from the repository's root with the source root on the path."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def test_the_source_root_does_not_shadow_the_standard_library() -> None:
    assert not (SOURCE / "__init__.py").exists()
    imported = Path(python("import platform; print(platform.__file__)"))
    assert imported.resolve().parent == Path(sysconfig.get_path("stdlib")).resolve()


def test_the_top_level_holds_what_the_readme_names_and_nothing_else() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_there_are_experiments_and_datasets_to_start_from() -> None:
    assert EXPERIMENTS
    assert FRAGMENTS


@pytest.mark.parametrize("path", EXPERIMENTS, ids=in_repository)
def test_every_experiment_file_loads_and_reads_back_equal(path: Path, tmp_path: Path) -> None:
    from pointlab.experiment import load

    experiment = load(path)
    written = tmp_path / path.name
    written.write_text(dump(experiment))
    assert load(written) == experiment


@pytest.mark.parametrize("path", FRAGMENTS, ids=in_repository)
def test_every_fragment_loads_and_reads_back_equal(path: Path, tmp_path: Path) -> None:
    from pointlab.backbones import BackboneConfig
    from pointlab.data.dataset import DatasetConfig

    model = {"data": DatasetConfig, "backbones": BackboneConfig}[path.parent.name]
    fragment = validate(model, read_yaml(path), str(path))
    written = tmp_path / path.name
    written.write_text(dump(fragment))
    assert validate(model, read_yaml(written), str(written)) == fragment


@pytest.mark.parametrize("path", CLASS_MAPS, ids=in_repository)
def test_every_map_of_classes_can_be_given_to_a_transfer(path: Path) -> None:
    from pointlab.experiment.shifts import ClassMap

    found = validate(ClassMap, read_yaml(path), str(path))
    assert found.keys() == read_yaml(path).keys()


def test_everything_below_the_engine_imports_without_ray() -> None:
    dotted = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in MODULES]
    names = [name.removesuffix(".__init__") for name in dotted if not name.endswith(".__main__")]
    below = [name for name in names if not f"{name}.".startswith(tuple(f"{top}." for top in MAY_KNOW_RAY))]
    assert "pointlab.data.source" in below
    program = (
        "import importlib, sys\n"
        "sys.modules['ray'] = None\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except Exception as error:\n"
        "        print(f'{name}: {error!r}')\n"
    )
    assert python(program, *below) == ""


def lengths_of_files() -> Iterator[tuple[int, str]]:
    for path in MODULES + SCRIPTS:
        yield len(path.read_text().splitlines()), in_repository(path)


def lengths_of_functions() -> Iterator[tuple[int, str]]:
    for path in MODULES + SCRIPTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield node.end_lineno - node.lineno + 1, f"{in_repository(path)}:{node.lineno} {node.name}"


@pytest.mark.parametrize(("measure", "ceiling"), [(lengths_of_files, 400), (lengths_of_functions, 80)])
def test_files_and_functions_stay_short(
    measure: Callable[[], Iterator[tuple[int, str]]], ceiling: int, capsys: pytest.CaptureFixture[str]
) -> None:
    longest = sorted(measure(), reverse=True)
    with capsys.disabled():
        print("\n" + "\n".join(f"{length:5} {name}" for length, name in longest[:10]))
    assert [name for length, name in longest if length > ceiling] == []


def test_files_of_tests_have_names_of_their_own() -> None:
    """pytest imports them by name: of two alike, it refuses to collect any test at all."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]

    assert sorted(names) == sorted(set(names))


def test_entry_scripts_fit_on_a_page() -> None:
    assert [in_repository(path) for path in SCRIPTS if len(path.read_text().splitlines()) > 40] == []


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in MODULES + SCRIPTS if not ast.get_docstring(ast.parse(path.read_text()))]
    assert [in_repository(path) for path in silent] == []


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"(?<!\w)/(work|root)/", id="paths of one machine"),
        pytest.param(r"\b(TODO|FIXME)\b|\bNotImplementedError\b", id="stubs"),
    ],
)
def test_no_file_holds(pattern: str) -> None:
    found = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # an image or another binary file
        found += [
            f"{in_repository(path)}:{number}"
            for number, line in enumerate(lines, 1)
            if re.search(pattern, line)
        ]
    this_file = in_repository(Path(__file__).resolve())
    assert [place for place in found if not place.startswith(this_file)] == []
