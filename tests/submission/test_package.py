"""What a job ships is known before it is sent: the files that Ray would pack, and not the data."""

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ray._private.runtime_env.packaging import create_package

from pointlab.engine.jobs.excludes import EXCLUDES
from pointlab.engine.jobs.package import LIMIT, Package, measured
from pointlab.errors import ConfigError, ResourceError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = {
    "configs/data/shapes.yaml": 10,
    "configs/run.yaml": 20,
    "jobs/pretrain.py": 30,
    "platform/pointlab/data/sample.py": 40,
    "README.md": 5,
}
LEFT = [
    ".git/config",
    ".venv/bin/python",
    "results/runs/a/weights",
    "data/modelnet/train.h5",
    "datasets/shapes/train.parquet",
    "platform/pointlab/__pycache__/sample.pyc",
    ".mypy_cache/x/y.json",
    ".env",
    ".aws/credentials",
    ".ray/auth_token",
    ".kube/config",
    ".config/gcloud/application_default_credentials.json",
    ".docker/config.json",
    ".git-credentials",
    ".npmrc",
    "secrets/service-credentials.json",
    "secrets/server.key",
    "id_ed25519",
    "notes/secret.txt",
    "platform/scratch.tmp",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in LEFT:
        _write(tmp_path / name, 1000)
    for name, size in SHIPPED.items():
        _write(tmp_path / name, size)
    (tmp_path / ".gitignore").write_text("/notes/\n")
    (tmp_path / "platform" / ".gitignore").write_text("*.tmp\n")
    return tmp_path


def _write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def test_data_results_environments_caches_and_credentials_stay(folder: Path) -> None:
    files = dict(measured(folder).files)
    for ignore in (".gitignore", "platform/.gitignore"):
        files.pop(ignore)
    assert files == SHIPPED


@pytest.fixture
def packed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Has Ray pack the folder."""
    package = tmp_path_factory.mktemp("package") / "package.zip"

    def pack() -> Path:
        quiet = logging.getLogger("quiet")
        create_package(str(folder), package, include_gitignore=True, excludes=list(EXCLUDES), logger=quiet)
        return package

    return pack


def test_it_is_what_ray_packs(folder: Path, packed: Callable[[], Path]) -> None:
    (folder / "platform" / "empty").mkdir()
    with zipfile.ZipFile(packed()) as package:
        sizes = {info.filename: info.file_size for info in package.infolist()}
    assert measured(folder).files == sizes


def test_its_size_is_that_of_the_zip(folder: Path, packed: Callable[[], Path]) -> None:
    _write(folder / "configs" / "größe" / "a.yaml", 7)
    (folder / "platform" / "empty").mkdir()
    assert measured(folder).num_bytes == packed().stat().st_size


def test_a_package_at_the_limit_is_sent_and_one_byte_more_is_not(tmp_path: Path) -> None:
    hole = tmp_path / "scans.bin"
    hole.touch()
    empty = measured(tmp_path).num_bytes
    for size in (LIMIT - empty, LIMIT - empty + 1):
        with hole.open("wb") as stream:
            stream.truncate(size)
        package = measured(tmp_path)
        if size + empty <= LIMIT:
            package.require_sendable()
        else:
            with pytest.raises(ResourceError, match=r"scans\.bin.*at most 100\.0 MiB"):
                package.require_sendable()


def test_folders_are_told_largest_first(folder: Path) -> None:
    assert list(measured(folder).by_folder().items())[:3] == [("platform", 46), ("configs", 30), ("jobs", 30)]


def test_what_ray_would_refuse_is_refused_with_what_is_largest(folder: Path) -> None:
    _write(folder / "platform" / "big.bin", 3 * 2**20)
    package = measured(folder)
    package.require_sendable()
    small = Package(package.folder, package.files, limit=2 * 2**20)
    with pytest.raises(
        ResourceError, match=r"3\.0 MiB.*platform 3\.0 MiB.*platform/big\.bin.*at most 2\.0 MiB"
    ):
        small.require_sendable()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--working-dir"):
        measured(tmp_path / "nowhere")


def test_the_plain_command_leaves_out_the_same() -> None:
    lines = (ROOT / ".rayignore").read_text().splitlines()
    assert tuple(line for line in lines if line and not line.startswith("#")) == EXCLUDES


def test_the_repository_ships_what_a_job_needs_and_little_else() -> None:
    package = measured(ROOT)
    for name in ("jobs/pretrain.py", "platform/pointlab/data/sample.py", "configs/demo/pretrain.yaml"):
        assert name in package.files
    assert package.num_bytes < 20_000_000
