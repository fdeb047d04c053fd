"""Links to an autopilot that carry bytes: UDP and serial ports."""

from __future__ import annotations

import re
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.files.printable import shown

WAIT_S = 0.02
"""Maximum seconds that a read waits for bytes."""

MAX_BAUD = 12_000_000
"""Fastest rate of USB serial ports."""

_MAX_DATAGRAM = 65536

_FORMS = "udpout:HOST:PORT, udpin:HOST:PORT or serial:DEVICE:BAUD"


Sender = tuple[str, int] | None
"""Address that a datagram came from; None on a serial port."""


class Link(ABC):
    """An open link. Every method raises OSError when the link is lost."""

    @abstractmethod
    def read(self) -> tuple[bytes, Sender]:
        """Bytes received within `WAIT_S`, empty if there are none, and their sender."""

    @abstractmethod
    def answer(self, sender: Sender) -> None:
        """Send to this sender from now on, if the link was opened without an address to send to."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Send without waiting; bytes that cannot be sent now are dropped."""

    @abstractmethod
    def close(self) -> None:
        """Release the port."""


class UdpLink(Link):
    """UDP: exchanges datagrams with `remote` only, or without one sends to the sender given to `answer`."""

    def __init__(self, local: tuple[str, int] | None, remote: tuple[str, int] | None) -> None:
        self._remote = remote
        self._is_remote_fixed = remote is not None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(WAIT_S)
        if local is not None:
            try:
                self._socket.bind(local)
            except OSError:
                self._socket.close()
                raise

    def read(self) -> tuple[bytes, Sender]:
        try:
            content, sender = self._socket.recvfrom(_MAX_DATAGRAM)
        except (TimeoutError, ConnectionRefusedError):  # refused: no program listens there yet
            return b"", None
        if self._is_remote_fixed and sender != self._remote:
            return b"", None
        return content, sender

    def answer(self, sender: Sender) -> None:
        if not self._is_remote_fixed:
            self._remote = sender

    def write(self, content: bytes) -> None:
        if self._remote is None:
            return
        try:
            self._socket.sendto(content, self._remote)
        except (TimeoutError, ConnectionRefusedError, BlockingIOError):
            return

    def close(self) -> None:
        self._socket.close()


class SerialLink(Link):
    """A serial port with 8 data bits, no parity, 1 stop bit."""

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial
        except ModuleNotFoundError as error:
            raise MissingExtraError.of(error) or error from error
        try:
            self._port = serial.Serial(device, baud, timeout=WAIT_S, write_timeout=0)
        except (ValueError, OverflowError) as error:  # a rate that the port lacks, a device's name with a NUL
            raise OSError(str(error)) from error

    def read(self) -> tuple[bytes, Sender]:
        return bytes(self._port.read(max(1, self._port.in_waiting))), None

    def answer(self, sender: Sender) -> None:
        """Do nothing: a serial port has one other end."""

    def write(self, content: bytes) -> None:
        self._port.write(content)

    def close(self) -> None:
        self._port.close()


@dataclass(frozen=True, kw_only=True)
class Address:
    """The address of an autopilot; `open` can be called again after the link was lost."""

    text: str
    open: Callable[[], Link]
    """Opens the link; raises OSError if the port or device cannot be opened now."""


def parse_address(text: str) -> Address:
    """Parse `udpout:127.0.0.1:14550` (send there), `udpin:0.0.0.0:14550` (wait there), `serial:/dev/ttyAMA0:921600`.

    Raises:
        InputError: the text has none of these forms, or there is no such host.
    """
    given = f"--mavlink {shown(text)}"
    match = re.fullmatch(r"(udpout|udpin|serial):(.{1,255}):([0-9]{1,9})", text)
    if match is None:
        raise InputError(f"{given}: expected {_FORMS}")
    kind, place, number = match[1], match[2], int(match[3])
    if kind == "serial":
        if not 1 <= number <= MAX_BAUD:
            raise InputError(f"{given}: expected a baud rate such as 57600 or 921600, got {number}")
        return Address(text=text, open=lambda: SerialLink(place, number))
    if not 1 <= number <= 65535:
        raise InputError(f"{given}: expected a port from 1 to 65535, got {number}")
    try:
        host = socket.gethostbyname(place)
    except OSError as error:
        raise InputError(f"{given}: no such host as {shown(place)} ({error.strerror or error})") from error
    except (ValueError, TypeError) as error:  # UnicodeError of the idna codec; a NUL byte
        raise InputError(f"{given}: no host can have the name {shown(place)}; expected {_FORMS}") from error
    if kind == "udpin":
        return Address(text=text, open=lambda: UdpLink((host, number), None))
    # Linux sends what goes to 0.0.0.0 to this computer, whose answers come from 127.0.0.1.
    remote = ("127.0.0.1" if host == "0.0.0.0" else host, number)
    return Address(text=text, open=lambda: UdpLink(None, remote))
