"""The workers' process group: on interfaces that reach the other nodes, and never waiting for ever.

gloo binds to whatever the host's name resolves to, which is often 127.0.0.1: workers on several nodes then
die at once. The interface to use is the one that carries the address by which Ray knows the node.
"""

import importlib
import os
from typing import Any

import ray
from ray.train.torch.config import TorchConfig, _TorchBackend

INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


class ExchangeConfig(TorchConfig):  # type: ignore[misc]
    """Torch's process group, set up by `Exchange`."""

    @property
    def backend_cls(self) -> type["Exchange"]:
        """What sets it up."""
        return Exchange


class Exchange(_TorchBackend):  # type: ignore[misc]
    """Names the interface on every worker before the group is made, where there are several nodes."""

    def on_start(self, worker_group: Any, backend_config: ExchangeConfig) -> None:
        """Called by Ray when the workers are there and the group is not."""
        if len({worker.metadata.node_id for worker in worker_group.get_workers()}) > 1:
            worker_group.execute(use_interface_of_node)
        super().on_start(worker_group, backend_config)


def use_interface_of_node() -> None:
    """Tell gloo and NCCL of the interface with this node's address, unless the user named one."""
    interface = interface_with(ray.util.get_node_ip_address())
    if interface is not None:
        for variable in INTERFACE_VARIABLES:
            os.environ.setdefault(variable, interface)


def interface_with(address: str) -> str | None:
    """Name of this machine's interface that carries `address`, if one does."""
    psutil = importlib.import_module("psutil")  # ray brings one along, on a path that it adds when imported
    for name, carried in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in carried):
            return str(name)
    return None
