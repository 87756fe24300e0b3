"""A log as it grows, over one connection that may be silent for hours, and is found out if it is dead.

Ray's server reads nothing from a connection that it only writes to, and so never answers a ping of
WebSocket's (RFC 6455, 5.5.2). Its operating system answers for it: TCP's keep-alive (RFC 1122, 4.2.3.6),
which Ray's own client does not ask for, finds out what a laptop slept through or a router forgot.
"""

import socket
from collections.abc import AsyncGenerator, Mapping
from ssl import SSLContext
from typing import Any

import aiohttp

KEEP_ALIVE = {
    "TCP_KEEPIDLE": 30,  # seconds of silence before the first probe, on Linux
    "TCP_KEEPALIVE": 30,  # the same on macOS
    "TCP_KEEPINTVL": 10,  # seconds between probes
    "TCP_KEEPCNT": 3,  # probes without an answer
}
ENDED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)


async def tail(
    url: str, headers: Mapping[str, str], ssl_context: SSLContext | bool | None
) -> AsyncGenerator[str, None]:
    """The log in pieces, to its end; OSError or aiohttp.ClientError where the connection breaks before."""
    is_checked = True if ssl_context is None else ssl_context
    connector = aiohttp.TCPConnector(ssl=is_checked, socket_factory=kept_alive)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.ws_connect(url) as connection,
    ):
        while (message := await connection.receive()).type is aiohttp.WSMsgType.TEXT:
            yield message.data
        if message.type not in ENDED or connection.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
            raise ConnectionError(f"closed with {connection.close_code}")


def kept_alive(address: tuple[Any, ...]) -> socket.socket:
    """A socket whose connection the system looks after, as often as it can be told to.

    `address` begins with its family, type and protocol.
    """
    connection = socket.socket(*address[:3])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection
