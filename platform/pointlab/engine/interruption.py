"""Why a group of workers should save and end while nothing is wrong: SIGTERM, or room for more of them."""

import threading
import time
from collections.abc import Collection, Mapping

from pointlab.engine.progress import Member
from pointlab.engine.room import present_nodes, resources_of_a_worker, workers_that_fit
from pointlab.experiment.placement import LaunchConfig

LOOK_SECONDS = 5.0
"""Between two looks at the cluster for more room."""


class Interruption:
    """Asked by the driver, several times a second, while a group works."""

    def __init__(self, launch: LaunchConfig, stop: threading.Event) -> None:
        """`stop` is set by SIGTERM."""
        self.launch, self.stop = launch, stop
        self.can_grow = False
        self._size, self._next_look = launch.most_workers, 0.0

    def begin(self, size: int) -> None:
        """A group of `size` workers starts."""
        self._size, self.can_grow = size, False
        self._next_look = time.monotonic() + self.launch.grow_after

    def __call__(self, members: Mapping[int, Member]) -> bool:
        """Whether the group of these members should save and end."""
        if self._size < self.launch.most_workers and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self.can_grow = self.can_grow or self._has_room(members.values())
        return self.stop.is_set() or self.can_grow

    def _has_room(self, members: Collection[Member]) -> bool:
        """Whether more workers would fit if the present ones gave back what they hold."""
        each = resources_of_a_worker(self.launch)
        if len(members) < self._size:
            return False  # it is still starting
        nodes = []
        for node in present_nodes():
            own = sum(member.node_id == node.node_id for member in members)
            nodes.append({name: node.free.get(name, 0) + own * each.get(name, 0) for name in node.total})
        return workers_that_fit(nodes, each) > self._size
