"""What a head has started is found again, also where the head itself is gone."""

import os
import signal
import subprocess

from process_tree import descendants, members
from ray_nodes import wait_until


def test_a_session_outlives_the_process_that_began_it() -> None:
    shell = ["sh", "-c", "sleep 600 >&- 2>&- & echo $!"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        sleeper = int(leader.communicate()[0])
    try:
        assert members(session=leader.pid) == [sleeper]
        assert descendants(leader.pid) == []
    finally:
        os.kill(sleeper, signal.SIGKILL)
    wait_until(lambda: not members(session=leader.pid), 10, lambda: str(members(session=leader.pid)))
