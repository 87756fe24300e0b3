"""Freed memory stays with the process, unless the user wants it back."""

import subprocess
import sys

import pytest

from pointlab.training import allocation

CHECK = """
import resource, runpy, sys
kept = runpy.run_path(sys.argv[1])["keep_freed_memory"]()
def touch():
    b"x" * (1 << 26)  # 64 MB, more than any default threshold
touch(), touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is glibc's")
def test_freed_memory_is_used_again_without_new_pages_unless_it_is_returned() -> None:
    def faults(environment: dict[str, str]) -> tuple[str, int]:
        done = subprocess.run(
            [sys.executable, "-c", CHECK, allocation.__file__],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        kept, count = done.stdout.split()
        return kept, int(count)

    (kept, few), (returned, many) = faults({}), faults({"POINTLAB_RETURN_MEMORY": "1"})
    assert (kept, returned) == ("True", "False")
    assert few < 100 < many
