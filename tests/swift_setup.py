"""OpenStack Swift, a real object store: installed once per machine, configured anew for every server.

The environment lies in the folder `POINTLAB_TEST_CACHE`, or in the user's cache folder. One process makes
it while others wait; a file that is written last says that it is whole.
"""

import configparser
import fcntl
import os
import platform
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "2.38.3"
# Its S3 API reads a schema through pkg_resources, which later versions of setuptools do not have.
REQUIREMENTS = (f"swift=={VERSION}", "eventlet==0.41.3", "setuptools==80.9.0")
STORAGE_SERVERS = ("account", "container", "object")
USER, KEY = "pointlab:admin", "pointlab-secret"
MIDDLEWARE = {
    "catch_errors": {},
    "gatekeeper": {},
    "healthcheck": {},
    "listing_formats": {},
    "bulk": {},
    "s3api": {"location": "us-east-1", "s3_acl": "false", "force_swift_request_proxy_log": "false"},
    "tempauth": {f"user_{USER.replace(':', '_')}": f"{KEY} .admin"},
    "copy": {},
    "slo": {"max_manifest_segments": "10000"},
    "dlo": {},
    "proxy-server": {},
}
MAKE_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, *servers = sys.argv[1:]
for server in servers:
    name, port = server.split(":")
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    device = {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1.0}
    builder.add_dev({"id": 0, "replication_ip": "127.0.0.1", "replication_port": int(port), **device})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{name}.ring.gz")
"""


def installed() -> Path:
    """Folder of the programs of Swift, which are installed if they are not there yet."""
    cache = os.environ.get("POINTLAB_TEST_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pointlab-tests"
    )
    environment = Path(cache) / f"swift-{VERSION}-python{platform.python_version()}"
    with _locked(environment.with_name(f"{environment.name}.lock")):
        complete, python = environment / "complete", environment / "bin" / "python"
        is_whole = python.exists() and complete.exists()
        if not (is_whole and complete.read_text().split() == list(REQUIREMENTS)):
            shutil.rmtree(environment, ignore_errors=True)
            _install(environment)
            complete.write_text("\n".join(REQUIREMENTS))
    return environment / "bin"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(environment: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, (
        f"Swift cannot be installed, which needs a package index: {finished.stderr}"
    )


def configure(folder: Path, programs: Path, address: str, ports: dict[str, int]) -> None:
    """Write rings and settings of all servers into `folder`; the proxy listens on `address`."""
    (folder / "disks" / "disk").mkdir(parents=True)
    _require_attributes(folder / "disks")
    hashing = {"swift_hash_path_prefix": "pointlab", "swift_hash_path_suffix": "pointlab"}
    policy = {"name": "single", "default": "yes"}
    _write(folder / "swift.conf", {"swift-hash": hashing, "storage-policy:0": policy})
    for name in STORAGE_SERVERS:
        _write(folder / f"{name}.conf", _storage_server(name, folder, ports[name]))
    _write(folder / "proxy.conf", _proxy(folder, address, ports["proxy"]))
    rings = [f"{name}:{ports[name]}" for name in STORAGE_SERVERS]
    subprocess.run([str(programs / "python"), "-c", MAKE_RINGS, str(folder), *rings], check=True)


def _require_attributes(folder: Path) -> None:
    try:
        os.setxattr(folder, "user.pointlab", b"1")
    except OSError as error:
        raise OSError(
            f"Swift needs a file system with extended attributes, unlike {folder}: {error}"
        ) from None


def _defaults(folder: Path, address: str, port: int) -> dict[str, str]:
    # No workers: a server is one process, so that ending it ends all of it.
    return {
        "bind_ip": address,
        "bind_port": str(port),
        "workers": "0",
        "swift_dir": str(folder),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "log_level": "WARNING",
    }


def _storage_server(name: str, folder: Path, port: int) -> dict[str, dict[str, str]]:
    disk = {
        "devices": str(folder / "disks"),
        "mount_check": "false",
        "disable_fallocate": "true",
        "fallocate_reserve": "0",
        "recon_cache_path": str(folder / "recon"),
    }
    return {
        "DEFAULT": _defaults(folder, "127.0.0.1", port) | disk,
        "pipeline:main": {"pipeline": f"{name}-server"},
        f"app:{name}-server": {"use": f"egg:swift#{name}"},
    }


def _proxy(folder: Path, address: str, port: int) -> dict[str, dict[str, str]]:
    *filters, _ = MIDDLEWARE
    proxy = {"use": "egg:swift#proxy", "account_autocreate": "true", "allow_account_management": "true"}
    return {
        "DEFAULT": _defaults(folder, address, port),
        "pipeline:main": {"pipeline": " ".join(MIDDLEWARE)},
        **{f"filter:{name}": {"use": f"egg:swift#{name}"} | MIDDLEWARE[name] for name in filters},
        "app:proxy-server": proxy,
    }


def _write(path: Path, sections: dict[str, dict[str, str]]) -> None:
    parser = configparser.RawConfigParser(default_section="no section is a default")
    parser.read_dict(sections)
    with path.open("w") as stream:
        parser.write(stream)
