"""Where processes are to meet: on every node with room for one, and never where they could not both be."""

from pointlab.doctor.exchange import places
from pointlab.engine.room import Node


def node(name: str, gpus: float) -> Node:
    return Node(name, "10.0.0.1", {"CPU": 8.0, "GPU": gpus}, {})


def room(at: Node) -> int:
    return int(at.total["GPU"])


def test_every_node_with_room_takes_part_once() -> None:
    large, small, none = node("large", 4), node("small", 1), node("none", 0)
    assert places([large, small, none], room, 8) == [large, small]


def test_a_node_alone_takes_part_twice_only_if_two_are_wanted_and_fit() -> None:
    large, small = node("large", 2), node("small", 1)
    assert places([large], room, 2) == [large, large]
    assert places([large], room, 1) == []
    assert places([small], room, 4) == []
    assert places([], room, 4) == []
