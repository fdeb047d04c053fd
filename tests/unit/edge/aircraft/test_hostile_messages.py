"""Fuzzed and spoofed MAVLink messages: the link stays alive, and no wrong position is sent on."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from tests.unit.edge.aircraft.test_autopilot import CENTRE, DOWN, result, until
from tinydet.edge.aircraft.autopilot import SILENT_S, Autopilot
from tinydet.edge.aircraft.link import parse_address
from tinydet.edge.stream.failures import Failures

dialect: Any = pytest.importorskip("pymavlink.dialects.v20.common", reason="the extra mavlink is not installed")

MESSAGES = 10_000
PLACE = (485000000, 90000000)
START_S = time.monotonic()
HUGE = 2**31 - 1


def boot_ms() -> int:
    return round((time.monotonic() - START_S + 50) * 1e3)


class Station:
    """A UDP socket that sends as one MAVLink component, and collects the answers."""

    def __init__(self, port: int, *, system: int = 7, component: int = 1) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.codec = dialect.MAVLink(None, srcSystem=system, srcComponent=component)
        self.codec.robust_parsing = True

    def send(self, message: Any, codec: Any = None) -> None:
        self.send_bytes(message.pack(codec or self.codec))

    def send_bytes(self, content: bytes) -> None:
        with suppress(ConnectionRefusedError):
            self.socket.send(content)

    def beat(self) -> None:
        self.send(self.codec.heartbeat_encode(2, 3, 0, 0, 4))

    def pose(self, latitude: int = PLACE[0], longitude: int = PLACE[1]) -> None:
        self.send(self.codec.attitude_encode(boot_ms(), 0, 0, 0, 0, 0, 0))
        self.send(self.position(latitude, longitude))

    def position(self, latitude: int, longitude: int, altitude: int = 350000, height: int = 100000) -> Any:
        return self.codec.global_position_int_encode(boot_ms(), latitude, longitude, altitude, height, 0, 0, 0, 0)

    def answers(self) -> list[Any]:
        found: list[Any] = []
        with suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                found += self.codec.parse_buffer(self.socket.recv(4096)) or []
        return found


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def impossible(true: Station, random: np.random.Generator) -> Iterator[Any]:
    """Messages of the autopilot itself with values that cannot be."""
    codec = true.codec
    nan, angles = math.nan, [math.nan, math.inf, -math.inf, 1e38, 100.0]
    while True:
        yield true.position(900000001 + int(random.integers(0, 10**9)), PLACE[1])
        yield true.position(PLACE[0], -1800000001)
        yield true.position(900000000, PLACE[1], height=HUGE)
        yield true.position(*PLACE, height=HUGE)
        yield true.position(-HUGE - 1, HUGE, -HUGE - 1, HUGE)
        yield true.position(0, 0)
        for angle in angles:
            yield codec.attitude_encode(boot_ms(), angle, nan, angle, nan, nan, nan)
            yield codec.gimbal_device_attitude_status_encode(0, 0, boot_ms(), 32, [angle] * 4, nan, nan, nan, 0)


def random_message(random: np.random.Generator) -> bytes:
    """A random message of the dialect, with a right checksum, from any system and component."""
    kind = dialect.mavlink_map[int(random.choice(sorted(dialect.mavlink_map)))]
    codec = dialect.MAVLink(None, srcSystem=int(random.integers(0, 256)), srcComponent=int(random.integers(0, 256)))
    message = dialect.MAVLink_message(kind.id, kind.msgname)
    packed: bytes = message._pack(codec, kind.crc_extra, random.bytes(kind.unpacker.size))
    return packed


def test_ten_thousand_fuzzed_and_spoofed_messages(port: int) -> None:
    random = np.random.default_rng(5)
    failures = Failures()
    places: set[tuple[float, float]] = set()
    sent: list[Any] = []
    with Autopilot(parse_address(f"udpin:127.0.0.1:{port}"), DOWN, failures) as autopilot:
        true, spoofer, other = Station(port), Station(port), Station(port, system=9)
        companion = dialect.MAVLink(None, srcSystem=7, srcComponent=191)
        true.beat()
        until(lambda: bool(true.answers()))
        wrong = impossible(true, random)
        for count in range(MESSAGES):
            match count % 8:
                case 0:
                    spoofer.send_bytes(random.bytes(int(random.integers(1, 300))))
                case 1:
                    spoofer.send_bytes(b"\xfd\xff" + random.bytes(8))  # announces 255 bytes that do not come
                case 2:
                    spoofer.beat()
                case 3:
                    spoofer.pose(int(random.integers(-(2**31), 2**31)), int(random.integers(-(2**31), 2**31)))
                case 4:
                    other.beat()
                    other.pose(-PLACE[0], -PLACE[1])
                case 5:
                    true.send(next(wrong))
                case 6:
                    true.send(true.position(-PLACE[0], PLACE[1]), companion)
                case _:
                    spoofer.send_bytes(random_message(random))
            if count % 25 == 0:
                true.beat()
                true.pose()
                found = result(CENTRE)
                places |= {place for place in autopilot.locate(found) if place is not None}
                autopilot.write(found)
                sent += true.answers()
                time.sleep(0.004)

        def is_located() -> bool:
            true.beat()
            true.pose()
            return autopilot.locate(result(CENTRE)) != [None]

        def is_sent() -> bool:
            answers = true.answers()
            sent.extend(answers)
            return "CAMERA_TRACKING_GEO_STATUS" in [answer.get_type() for answer in answers]

        until(is_located)
        autopilot.write(result(CENTRE))
        until(is_sent)
        assert not spoofer.answers() and not other.answers()
    assert len(places) > 0
    assert np.abs(np.array(sorted(places)) - [48.5, 9.0]).max() < 1e-6
    geo = [(message.lat, message.lon) for message in sent if message.get_type() == "CAMERA_TRACKING_GEO_STATUS"]
    assert len(geo) > 3 and np.abs(np.array(geo) - PLACE).max() <= 10
    assert failures.counts() == {}


def test_a_stray_heartbeat_does_not_fix_the_vehicle(port: int) -> None:
    with Autopilot(parse_address(f"udpin:127.0.0.1:{port}"), DOWN) as autopilot:
        stray, true = Station(port, system=200), Station(port)
        stray.beat()
        until(lambda: bool(stray.answers()))
        start_s = time.monotonic()

        def located() -> bool:
            true.beat()
            true.pose()
            return autopilot.locate(result(CENTRE)) != [None]

        until(located)
        assert time.monotonic() - start_s > SILENT_S - 0.5
        until(lambda: 7 in [answer.get_srcSystem() for answer in true.answers()])


def test_what_one_message_causes_is_counted_and_the_link_goes_on(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect in a message's handling, as there may be one that nobody knows of."""

    def broken(*_: object) -> bool:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(Autopilot._take.__globals__["_HANDLERS"], "ATTITUDE", (broken, True))
    failures = Failures()
    with Autopilot(parse_address(f"udpin:127.0.0.1:{port}"), DOWN, failures):
        true = Station(port)
        true.beat()
        until(lambda: bool(true.answers()))
        for _ in range(3):
            true.pose()
        until(lambda: failures.counts() == {"mavlink message": 3})
        until(lambda: bool(true.answers()))
    assert len(caplog.messages) == 1 and "ZeroDivisionError: division by zero" in caplog.messages[0]
