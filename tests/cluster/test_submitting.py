"""A laptop submits to two nodes whose store it cannot reach, and loses its way to them for a while."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.namespaces import has_namespaces
from cluster.network import BUCKET, SERVER, SOURCE, Network, network
from fault_table import add_row
from faults.scene import SETTINGS
from pointlab.config import merge
from ray_nodes import wait_until

pytestmark = pytest.mark.cluster
CPUS = 2
PATIENCE = 280.0
AWAY_SECONDS = 5.0
LAUNCH = {"kind": "ray", "num_workers": 2, "cpus_per_worker": 1}
SUBMIT = ["-m", "pointlab.cli", "submit", "run.yaml", "--address", SERVER, "--root", f"{BUCKET}/submitted"]
LOG = f"""
from pointlab.engine.jobs.server import JobServer
server = JobServer({SERVER!r})
(job,) = server.client.list_jobs()
print(server.log(job.submission_id), end="")
"""


@pytest.fixture(scope="module")
def machines() -> Iterator[Network]:
    """Both nodes, the store, and the laptop, which does not reach the store."""
    assert has_namespaces(), "four machines on one need root and network namespaces (iproute2)"
    with network() as machines:
        machines.start_store()
        machines.start_head(CPUS)
        machines.join(CPUS)
        machines.cut("laptop", "store")
        yield machines


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder on the laptop that is submitted."""
    for part in ("platform", "jobs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE.parent / part, tmp_path / part, ignore=ignored)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(merge(SETTINGS, {"launch": LAUNCH})))
    return tmp_path


def test_a_laptop_that_loses_its_way_shows_the_whole_log(machines: Network, project: Path) -> None:
    shown, said = project / "shown.txt", project / "said.txt"
    with shown.open("wb") as output, said.open("wb") as errors:
        process = subprocess.Popen(
            [*machines.command("laptop"), sys.executable, *SUBMIT],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(SOURCE), **machines.ray()},
            stdout=output,
            stderr=errors,
        )
        wait_until(
            lambda: "/42  " in shown.read_text() or process.poll() is not None, PATIENCE, said.read_text
        )
        assert process.poll() is None, shown.read_text() + said.read_text()
        machines.cut("laptop", "head")
        time.sleep(AWAY_SECONDS)
        machines.mend("laptop", "head")
        assert process.wait(PATIENCE) == 0, shown.read_text() + said.read_text()
    assert f"Record: {BUCKET}/submitted/runs/" in shown.read_text()
    assert shown.read_text() == machines.run("laptop", ["-c", LOG], {}).stdout
    add_row("a laptop's way to the head cut", "two nodes, S3", "the job went on, and its log was shown whole")
