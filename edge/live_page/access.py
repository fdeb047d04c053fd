"""Access to the live page: free for users of this computer, by a token from others."""

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
from tinydet.edge.files.printable import shown

TOKEN_VARIABLE = "TINYDET_TOKEN"
COOKIE = "tinydet_token"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class ServeAddress:
    """The address that a server listens on."""

    host: str
    """Name or number, as the user gave it."""
    port: int
    """0 chooses a free port."""
    family: socket.AddressFamily
    is_loopback: bool
    """Whether only this computer can reach it."""


def parse_serve_address(text: str) -> ServeAddress:
    """Parse `8080` (this computer alone), `127.0.0.1:8080`, `0.0.0.0:8080` (every network) or `[::1]:8080`.

    Raises:
        InputError: the text has none of these forms, or there is no such host.
    """
    given = f"--serve {shown(text)}"
    match = re.fullmatch(r"(?:(?:\[(?P<v6>[^\]\0]+)\]|(?P<host>[^:\[\]\0]+)):)?(?P<port>[0-9]{1,5})", text)
    if match is None or int(match["port"]) > 65535:
        raise InputError(f"{given}: expected HOST:PORT or PORT, as in 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080")
    host, port = match["v6"] or match["host"] or "127.0.0.1", int(match["port"])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"{given}: no such host as {host} ({error.strerror or error})") from error
    except (ValueError, TypeError) as error:  # UnicodeError of the idna codec; a NUL byte
        raise InputError(f"{given}: no host can have the name {shown(host)}") from error
    addresses = [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
    return ServeAddress(
        host=host,
        port=port,
        family=found[0][0],
        is_loopback=all(address.is_loopback for address in addresses),
    )


def choose_token(address: ServeAddress) -> str | None:
    """The token in $TINYDET_TOKEN, else a new one; None for an address that only this computer can reach.

    Raises:
        InputError: $TINYDET_TOKEN is too short to be safe, or has characters that a URL cannot hold.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None:
        return None if address.is_loopback else secrets.token_urlsafe(24)
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{{_SHORTEST_TOKEN},}}", given):
        raise InputError(f"{TOKEN_VARIABLE}: expected {_SHORTEST_TOKEN} or more letters, digits, - and _")
    return given


def is_token(given: str | None, token: str) -> bool:
    """Whether `given` is the token; compared in constant time, so timing reveals nothing about the token."""
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


def token_of_cookies(header: str | None) -> str | None:
    """The token in a Cookie header; None if there is none."""
    try:
        cookie = SimpleCookie(header or "").get(COOKIE)
    except CookieError:
        return None
    return None if cookie is None else cookie.value


def names_this_computer(host_header: str | None) -> bool:
    """Whether a Host header is localhost or a loopback address.

    Any other name may belong to a page from elsewhere that was made to point at 127.0.0.1 (DNS rebinding).
    """
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:]+))(?::[0-9]+)?", host_header or "")
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
    """This computer's address in its network, for the link that is printed; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
