"""Who may see the live page: everybody on this computer, elsewhere who has the token."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from tinydet.edge.errors import InputError

TOKEN_VARIABLE = "TINYDET_TOKEN"
COOKIE = "tinydet_token"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class ServeAddress:
    """Where a server listens."""

    host: str
    """As given: a name or a number."""
    port: int
    """0 takes a free one."""
    family: socket.AddressFamily
    is_loopback: bool
    """Reached from this computer alone."""


def parse_serve_address(text: str) -> ServeAddress:
    """`8080` (this computer alone), `127.0.0.1:8080`, `0.0.0.0:8080` (every network), `[::1]:8080`.

    Raises:
        InputError: it is none of these, or there is no such host.
    """
    match = re.fullmatch(r"(?:(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+)):)?(?P<port>\d{1,5})", text)
    if match is None or int(match["port"]) > 65535:
        raise InputError(f"--serve {text}: expected HOST:PORT or PORT, as in 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080")
    host, port = match["v6"] or match["host"] or "127.0.0.1", int(match["port"])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"--serve {text}: no such host as {host} ({error.strerror or error})") from error
    addresses = [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    return ServeAddress(
        host=host,
        port=port,
        family=found[0][0],
        is_loopback=all(address.is_loopback for address in addresses),
    )


def choose_token(address: ServeAddress) -> str | None:
    """From $TINYDET_TOKEN; else a new one, or none for an address that only this computer reaches.

    Raises:
        InputError: the one given is too short to keep strangers out, or cannot stand in an address.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None:
        return None if address.is_loopback else secrets.token_urlsafe(24)
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{{_SHORTEST_TOKEN},}}", given):
        raise InputError(f"{TOKEN_VARIABLE}: expected {_SHORTEST_TOKEN} or more letters, digits, - and _")
    return given


def is_token(given: str | None, token: str) -> bool:
    """Compared in a time that says nothing of where they differ."""
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


def token_of_cookies(header: str | None) -> str | None:
    """The token in a Cookie header."""
    try:
        cookie = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def names_this_computer(host_header: str | None) -> bool:
    """Whether a Host header asks for this computer by a name that no name server can give to another's page.

    A page from elsewhere whose name was made to point at 127.0.0.1 (DNS rebinding) sends its own name.
    """
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+))(?::\d+)?", host_header or "")
    if match is None:
        return False
    host = match[1] or match[2]
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def own_address() -> str:
    """This computer's address towards other networks, for a link to click; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
