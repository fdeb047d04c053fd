"""The link over UDP to an autopilot in another process, which uses pymavlink's own connection."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinydet.edge.aircraft.geolocation import Camera
from tinydet.edge.aircraft.link import parse_address
from tinydet.edge.detection.detector import StageTimes
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.sources.frames import Frame
from tinydet.edge.stream.frame_result import FrameResult

pytest.importorskip("pymavlink", reason="the extra mavlink is not installed")

from pymavlink.dialects.v20 import common as dialect

from tinydet.edge.aircraft.autopilot import Autopilot

DOWN = Camera(image_wh_px=(640, 480), fx_px=500, fy_px=500, cx_px=320, cy_px=240, pitch_deg=-90)
NORTH_20_M = 48.5 + 20 / 111199.0


def result(*boxes: tuple[float, float, float, float], tracks: list[int] | None = None) -> FrameResult:
    image = np.zeros((480, 640, 3), np.uint8)
    count = len(boxes)
    return FrameResult(
        frame=Frame(index=0, name="x", image_rgb=image, time_s=None),
        detections=Detections(
            boxes_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
            scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
            class_ids=np.zeros(count, np.int64),
        ),
        track_ids=None if tracks is None else np.array(tracks, np.int64),
        times=StageTimes(pre_ms=1, infer_ms=2, post_ms=3),
        age_ms=10.0,
        dropped=0,
    )


CODEC = dialect.MAVLink(None, srcSystem=7, srcComponent=1)
UP_100_PX = (310.0, 130.0, 330.0, 150.0)
CENTRE = (310.0, 230.0, 330.0, 250.0)


class Peer:
    """The other process, with its messages in a queue."""

    def __init__(self, port: int, pose_s: float) -> None:
        script = Path(__file__).with_name("autopilot_peer.py")
        environment = {**os.environ, "MAVLINK20": "1", "MAVLINK_DIALECT": "common"}
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(port), str(pose_s)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.messages.put(json.loads(line))

    def next(self, kind: str) -> dict[str, Any]:
        end = time.monotonic() + 8
        while True:
            message = self.messages.get(timeout=max(end - time.monotonic(), 0.01))
            if message["mavpackettype"] == kind:
                return message


@contextmanager
def peer(port: int, pose_s: float = 60.0) -> Iterator[Peer]:
    running = Peer(port, pose_s)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_messages_and_their_fields(port: int) -> None:
    with peer(port) as other, Autopilot(parse_address(f"udpout:127.0.0.1:{port}"), DOWN) as autopilot:
        heartbeat = other.next("HEARTBEAT")
        assert (heartbeat["type"], heartbeat["autopilot"]) == (18, 8)
        request = other.next("COMMAND_LONG")
        assert (request["command"], request["target_system"], request["target_component"]) == (511, 7, 1)
        assert {request["param1"], *(other.next("COMMAND_LONG")["param1"] for _ in range(2))} == {30, 33, 285}

        until(lambda: autopilot.locate(result(CENTRE)) != [None])
        found = result(UP_100_PX, CENTRE)
        ((latitude, longitude), centre) = (place or (math.nan, math.nan) for place in autopilot.locate(found))
        assert (latitude, longitude) == pytest.approx((NORTH_20_M, 9.0), abs=1e-7)
        assert centre == pytest.approx((48.5, 9.0), abs=1e-9)

        autopilot.write(found)
        image = other.next("CAMERA_TRACKING_IMAGE_STATUS")
        assert image["from"] == [7, 191]
        assert (image["tracking_status"], image["tracking_mode"], image["target_data"]) == (1, 2, 4)
        corners = [image[name] for name in ("rec_top_x", "rec_top_y", "rec_bottom_x", "rec_bottom_y")]
        assert corners == pytest.approx([310 / 640, 130 / 480, 330 / 640, 150 / 480], abs=1e-6)
        assert math.isnan(image["radius"])

        place = other.next("CAMERA_TRACKING_GEO_STATUS")
        assert (place["lat"], place["lon"]) == (round(latitude * 1e7), 90000000)
        assert place["alt"] == 250.0  # 350 above sea level, 100 above the ground
        assert place["dist"] == pytest.approx(20, abs=1e-4)
        assert place["hdg"] == pytest.approx(0, abs=1e-6) and math.isnan(place["vel_n"])
        # 100 / sin^2 of 1 degree, and 2 m at a slope of 0.2: hypot(1.8151, 0.4).
        assert place["h_acc"] == pytest.approx(1.8587, abs=1e-3)

        until(lambda: other.next("NAMED_VALUE_INT")["value"] == 2)
        autopilot.write(result())
        idle = other.next("CAMERA_TRACKING_IMAGE_STATUS")
        assert (idle["tracking_status"], idle["tracking_mode"]) == (0, 0)


def test_the_same_track_goes_on(port: int) -> None:
    with peer(port) as other, Autopilot(parse_address(f"udpout:127.0.0.1:{port}"), None) as autopilot:
        autopilot.write(result(CENTRE, tracks=[4]))
        assert other.next("CAMERA_TRACKING_IMAGE_STATUS")["rec_top_y"] == pytest.approx(230 / 480)
        autopilot.write(result(UP_100_PX, CENTRE, tracks=[9, 4]))
        assert other.next("CAMERA_TRACKING_IMAGE_STATUS")["rec_top_y"] == pytest.approx(230 / 480)
        autopilot.write(result(UP_100_PX, tracks=[9]))
        assert other.next("CAMERA_TRACKING_IMAGE_STATUS")["rec_top_y"] == pytest.approx(130 / 480)


def test_objects_are_sent_five_times_a_second(port: int) -> None:
    with peer(port) as other, Autopilot(parse_address(f"udpout:127.0.0.1:{port}"), None) as autopilot:
        other.next("HEARTBEAT")
        start = time.monotonic()
        while time.monotonic() - start < 1.1:
            autopilot.write(result(CENTRE))
            time.sleep(0.005)
        time.sleep(0.2)
        kinds = [message["mavpackettype"] for message in other.messages.queue]
        assert 3 <= kinds.count("CAMERA_TRACKING_IMAGE_STATUS") <= 7


def test_a_stale_pose_gives_no_position_and_is_said_once(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with peer(port, pose_s=1.0), Autopilot(parse_address(f"udpout:127.0.0.1:{port}"), DOWN) as autopilot:
        until(lambda: autopilot.locate(result(CENTRE)) != [None])
        caplog.clear()
        until(lambda: autopilot.locate(result(CENTRE)) == [None])
        for _ in range(5):
            assert autopilot.locate(result(CENTRE)) == [None]
        assert [record.message for record in caplog.records] == [
            "mavlink: no position and attitude within the last second: detections have no latitude for now"
        ]


def test_a_peer_that_comes_late_and_goes_away_stops_nothing(port: int) -> None:
    with Autopilot(parse_address(f"udpout:127.0.0.1:{port}"), DOWN) as autopilot:
        autopilot.write(result(CENTRE))
        time.sleep(0.3)
        for _ in range(2):
            with peer(port) as other:
                other.next("HEARTBEAT")
                autopilot.write(result(CENTRE))
                other.next("CAMERA_TRACKING_IMAGE_STATUS")
        autopilot.write(result(CENTRE))


def test_garbage_is_passed_over(port: int) -> None:
    with Autopilot(parse_address(f"udpin:127.0.0.1:{port}"), DOWN) as autopilot:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            random = np.random.default_rng(0)
            for _ in range(200):
                sender.sendto(b"\xfd" + random.bytes(80), ("127.0.0.1", port))
            sender.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sender.recv(300)  # a stranger gets no answer
            for _ in range(20):  # the garbage has announced messages that are longer than it
                sender.sendto(CODEC.heartbeat_encode(2, 3, 0, 0, 4).pack(CODEC), ("127.0.0.1", port))
            sender.settimeout(5)
            assert sender.recv(300)[0] == 0xFD  # heartbeats go on
        assert autopilot.locate(result(CENTRE)) == [None]


def test_a_lost_device_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A serial port (one end of a pseudo-terminal) that is pulled out and put in again."""
    pytest.importorskip("serial", reason="the extra mavlink is not installed")
    caplog.set_level(logging.WARNING)
    device = tmp_path / "tty"
    ours, theirs = os.openpty()
    device.symlink_to(os.ttyname(theirs))
    with Autopilot(parse_address(f"serial:{device}:115200"), None) as autopilot:
        assert os.read(ours, 1) == b"\xfd"
        os.close(theirs)
        os.close(ours)
        device.unlink()
        until(lambda: any("lost serial" in record.message for record in caplog.records))
        ours, theirs = os.openpty()
        device.symlink_to(os.ttyname(theirs))
        until(lambda: any("is back" in record.message for record in caplog.records))
        assert os.read(ours, 1) == b"\xfd"
        autopilot.write(result(CENTRE))
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("flags", "yaw_deg"),
    [
        pytest.param(32, 90, id="against the heading"),
        pytest.param(0, 90, id="no flag: from the heading"),
        pytest.param(64, 180, id="against north"),
        pytest.param(16, 180, id="locked: against north"),
    ],
)
def test_a_camera_on_a_gimbal(port: int, flags: int, yaw_deg: float) -> None:
    """Looking 45 degrees down to the south, while the airframe points east and pitches."""
    camera = replace(DOWN, pitch_deg=0, mounted_on="gimbal")
    # Yaw, then pitch of -45 degrees, as a quaternion.
    half_yaw, half_pitch = math.radians(yaw_deg) / 2, math.radians(-45) / 2
    cy, sy, cp, sp = math.cos(half_yaw), math.sin(half_yaw), math.cos(half_pitch), math.sin(half_pitch)
    quaternion = [cy * cp, -sy * sp, cy * sp, sy * cp]
    codec = dialect.MAVLink(None, srcSystem=7, srcComponent=1)
    start = time.monotonic()
    address = parse_address(f"udpin:127.0.0.1:{port}")
    with Autopilot(address, camera) as autopilot, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def located() -> bool:
            boot_ms = round((time.monotonic() - start + 50) * 1e3)
            for message in (
                codec.heartbeat_encode(2, 3, 0, 0, 4),
                codec.attitude_encode(boot_ms, 0, 0.1, math.pi / 2, 0, 0, 0),
                codec.global_position_int_encode(boot_ms, 485000000, 90000000, 350000, 100000, 0, 0, 0, 0),
                codec.gimbal_device_attitude_status_encode(0, 0, boot_ms, flags, quaternion, 0, 0, 0, 0),
            ):
                sender.sendto(message.pack(codec), ("127.0.0.1", port))
            return autopilot.locate(result(CENTRE)) != [None]

        until(located)
        (place,) = autopilot.locate(result(CENTRE))
        assert place == pytest.approx((48.5 - 100 / 111199.0, 9.0), abs=1e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1:14550", "expected udpout:HOST:PORT"),
        ("tcp:127.0.0.1:5760", "expected udpout:HOST:PORT"),
        ("udpout:127.0.0.1:99999", "port from 1 to 65535"),
        ("serial:/dev/ttyAMA0:0", "baud rate"),
        ("serial:/dev/ttyAMA0:999999999", "baud rate"),
        ("serial:/dev/ttyAMA0:" + "9" * 5000, "expected udpout:HOST:PORT"),
        ("", "''"),
        ("udpin::14550", "expected udpout:HOST:PORT"),
        ("udpout:127.0.0.1:1455\u00b2", "expected udpout:HOST:PORT"),
        ("udpout:127.0.0.1:\u0661\u0664", "expected udpout:HOST:PORT"),
        ("udpin:a..b:14550", "no host can have the name"),
        ("udpin:" + "x" * 70 + ":14550", "no host can have the name"),
        ("udpin:127.0.0.1\0:14550", r"'127.0.0.1\\x00'"),
        ("udpin:\ud800:14550", "no host can have the name"),
    ],
)
def test_a_wrong_address_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["serial:/dev/no-such-port:57600", "udpin:192.0.2.1:14550", "serial:/dev/tty\0:57600", "serial:/dev/null:57600"],
)
def test_a_link_that_cannot_be_opened_fails_at_the_start(text: str) -> None:
    with pytest.raises(InputError, match="cannot open it"), Autopilot(parse_address(text), None):
        pass


def test_a_port_in_use_is_said_at_the_start(port: int) -> None:
    address = parse_address(f"udpin:127.0.0.1:{port}")
    with Autopilot(address, None), pytest.raises(InputError, match="in use"), Autopilot(address, None):
        pass
