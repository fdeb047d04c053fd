"""MAVLink 2 link to an autopilot: reads the aircraft's position and attitude, sends detections.

Received: HEARTBEAT, GLOBAL_POSITION_INT, ATTITUDE, and GIMBAL_DEVICE_ATTITUDE_STATUS for a camera on a gimbal. Sent, as
an onboard computer (component 191) of the autopilot's system, from the common dialect only:

| message | rate | content |
|---|---|---|
| HEARTBEAT | 1 Hz | MAV_TYPE_ONBOARD_CONTROLLER |
| COMMAND_LONG, MAV_CMD_SET_MESSAGE_INTERVAL | every 5 s while positions are missing | requests the messages above |
| NAMED_VALUE_INT `tinydet` | 1 Hz | objects in the newest frame |
| CAMERA_TRACKING_IMAGE_STATUS | up to 5 Hz | box of one object, as shares of the image |
| CAMERA_TRACKING_GEO_STATUS | up to 5 Hz, with a position | latitude, longitude, error of the same object |

The vehicle is the first system with an autopilot's heartbeat. Messages of another system, of another component and over
UDP of another sender are dropped until its heartbeats stop for `SILENT_S`; only its sender gets answers. Messages with
impossible values are dropped.

MAVLink has no message for many objects. The object sent is the track sent last, while it is still seen, else the one
with the best score. Messages that an autopilot acts on (LANDING_TARGET, OBSTACLE_DISTANCE, ADSB_VEHICLE) are not sent.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np
from pymavlink.dialects.v20 import common as dialect

from tinydet.edge.aircraft.flight_state import FlightState
from tinydet.edge.aircraft.geolocation import Camera, GroundPoint, Rotation, locate_pixels, rotation_from_euler
from tinydet.edge.aircraft.link import Address, Link, Sender
from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.edge.sinks.sink import Sink
from tinydet.edge.stream.failures import Failures
from tinydet.edge.stream.frame_result import FrameResult

HEARTBEAT_S = 1.0
OBJECT_S = 0.2
REQUEST_S = 5.0
RECONNECT_S = 1.0
SILENT_S = 3.0
"""Maximum seconds without a heartbeat before the autopilot counts as lost."""
MAX_HEIGHT_M = 100_000.0
"""Maximum height above home, and altitude, that is believed."""
MAX_SENDERS = 8
"""Senders of datagrams whose unfinished messages are kept."""

_REQUESTED_HZ = {
    dialect.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 10.0,
    dialect.MAVLINK_MSG_ID_ATTITUDE: 25.0,
    dialect.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: 25.0,
}

_logger = logging.getLogger(__name__)


class Autopilot(Sink):
    """A sink with a thread of its own for the link. A lost link is logged and opened again; the caller never fails.

    Args:
        address: address of the autopilot.
        camera: the camera that positions are computed with; None sends detections without positions.
        failures: counts lost links, and messages that could not be handled.

    Raises:
        InputError: on entering, if the port or device cannot be opened.
    """

    leaves_files = False

    def __init__(self, address: Address, camera: Camera | None, failures: Failures | None = None) -> None:
        self.name = address.text
        self._failures = failures or Failures()
        self._address = address
        self._camera = camera
        self._state = FlightState()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._link: Link | None = None
        self._thread = threading.Thread(target=self._run, name="mavlink", daemon=True)
        self._codec = dialect.MAVLink(None, srcSystem=1, srcComponent=dialect.MAV_COMP_ID_ONBOARD_COMPUTER)
        self._parsers: OrderedDict[Sender, Any] = OrderedDict()
        self._vehicle: tuple[int, Sender] | None = None
        self._heard_s = -math.inf
        self._posed_s = self._beat_s = self._object_s = self._request_s = -math.inf
        self._pending: FrameResult | None = None
        self._object_count = 0
        self._sent_track = -1
        self._last_located: tuple[FrameResult, list[GroundPoint | None]] | None = None
        self._stale_logged = False

    def __enter__(self) -> Autopilot:
        try:
            self._link = self._address.open()
        except OSError as error:
            raise InputError(
                f"--mavlink {shown(self._address.text)}: cannot open it ({error.strerror or error})"
            ) from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def locate(self, result: FrameResult) -> list[tuple[float, float] | None]:
        """Latitude and longitude in degrees of the centre of each detection's box; None if the position is unknown.

        A frame without a capture time counts as taken now.
        """
        points = self._located(result)
        return [None if point is None else (point.latitude_deg, point.longitude_deg) for point in points]

    def write(self, result: FrameResult) -> None:
        """Store the result for the link's thread, which sends the newest one at the rates above."""
        self._located(result)
        with self._lock:
            self._pending = result
            self._object_count = len(result.detections)

    def _located(self, result: FrameResult) -> list[GroundPoint | None]:
        if self._last_located is not None and self._last_located[0] is result:
            return self._last_located[1]
        boxes = result.detections.boxes_xyxy_px.astype(np.float64)
        points: list[GroundPoint | None] = [None] * len(boxes)
        if self._camera is not None:
            captured_s = result.frame.captured_s
            taken_s = time.monotonic() if captured_s is None else captured_s
            with self._lock:
                pose = self._state.pose_at(taken_s, of_gimbal=self._camera.mounted_on == "gimbal")
            self._log_stale(pose is None)
            if pose is not None:
                height, width = result.frame.image_rgb.shape[:2]
                points = locate_pixels(self._camera, pose, (boxes[:, :2] + boxes[:, 2:]) / 2, (width, height))
        self._last_located = (result, points)
        return points

    def _log_stale(self, stale: bool) -> None:
        if stale and not self._stale_logged:
            _logger.warning(
                "mavlink: no position and attitude within the last second: detections have no latitude for now"
            )
        elif not stale and self._stale_logged:
            _logger.warning("mavlink: position and attitude are back")
        self._stale_logged = stale

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._link is None:
                    self._link = self._address.open()
                    self._beat_s = -math.inf
                self._send(self._link)
                content, sender = self._link.read()
                for message in self._parse(content, sender):
                    self._take(self._link, message, sender)
            except OSError as error:
                lost = f"lost {self.name} ({error.strerror or error}), opening it again"
                self._failures.add("mavlink", ConnectionError(lost))
                if self._link is not None:
                    self._link.close()
                    self._link = None
                self._stopped.wait(RECONNECT_S)
            except Exception as error:  # noqa: BLE001
                # Whatever a message from outside causes: the thread is the flight's only link, and nothing restarts it.
                self._failures.add("mavlink message", error)
        if self._link is not None:
            self._link.close()

    def _parse(self, content: bytes, sender: Sender) -> list[Any]:
        """Messages of one sender; the unfinished message of another one is not mixed with them."""
        if not content:
            return []
        parser = self._parsers.pop(sender, None) or dialect.MAVLink(None)
        parser.robust_parsing = True
        messages: list[Any] = parser.parse_buffer(content) or []
        del parser.buf[: parser.buf_index]  # pymavlink keeps what it has read until it has read everything
        parser.buf_index = 0
        self._parsers[sender] = parser
        if len(self._parsers) > MAX_SENDERS:
            self._parsers.popitem(last=False)
        return messages

    def _send(self, link: Link) -> None:
        now = time.monotonic()
        if now - self._beat_s >= HEARTBEAT_S:
            self._beat_s = now
            self._write(link, *self._heartbeat())
            self._failures.recovered("mavlink")
        if self._vehicle is not None and now - self._request_s >= REQUEST_S and now - self._posed_s >= 1:
            self._request_s = now
            self._write(link, *self._requests(self._vehicle[0]))
        if now - self._object_s >= OBJECT_S:
            with self._lock:
                result, self._pending = self._pending, None
                located = self._last_located
            if result is not None:
                self._object_s = now
                points = located[1] if located is not None and located[0] is result else None
                self._write(link, *self._object(result, points))

    def _write(self, link: Link, *messages: Any) -> None:
        for message in messages:
            link.write(message.pack(self._codec))
            self._codec.seq = (self._codec.seq + 1) % 256

    def _heartbeat(self) -> list[Any]:
        kind, none = dialect.MAV_TYPE_ONBOARD_CONTROLLER, dialect.MAV_AUTOPILOT_INVALID
        with self._lock:
            count = self._object_count
        return [
            self._codec.heartbeat_encode(kind, none, 0, 0, dialect.MAV_STATE_ACTIVE),
            self._codec.named_value_int_encode(int(time.monotonic() * 1e3) % 2**32, b"tinydet", count),
        ]

    def _requests(self, vehicle: int) -> list[Any]:
        command, component = dialect.MAV_CMD_SET_MESSAGE_INTERVAL, dialect.MAV_COMP_ID_AUTOPILOT1
        return [
            self._codec.command_long_encode(vehicle, component, command, 0, message_id, 1e6 / rate_hz, 0, 0, 0, 0, 0)
            for message_id, rate_hz in _REQUESTED_HZ.items()
        ]

    def _object(self, result: FrameResult, points: list[GroundPoint | None] | None) -> list[Any]:
        """Messages for one object; for an empty frame, that nothing is tracked."""
        index = self._pick(result)
        nan = math.nan
        if index is None:
            idle, none = dialect.CAMERA_TRACKING_STATUS_FLAGS_IDLE, dialect.CAMERA_TRACKING_MODE_NONE
            return [self._codec.camera_tracking_image_status_encode(idle, none, 0, nan, nan, nan, nan, nan, nan, nan)]
        height, width = result.frame.image_rgb.shape[:2]
        box = result.detections.boxes_xyxy_px[index] / np.array([width, height, width, height], np.float32)
        active = dialect.CAMERA_TRACKING_STATUS_FLAGS_ACTIVE
        messages = [
            self._codec.camera_tracking_image_status_encode(
                active,
                dialect.CAMERA_TRACKING_MODE_RECTANGLE,
                dialect.CAMERA_TRACKING_TARGET_DATA_IN_STATUS,
                *(nan, nan, nan),
                *box.tolist(),
            )
        ]
        point = points[index] if points is not None else None
        if point is not None:
            with self._lock:
                altitude_m = self._state.ground_altitude_m
            messages.append(
                self._codec.camera_tracking_geo_status_encode(
                    active,
                    round(point.latitude_deg * 1e7),
                    round(point.longitude_deg * 1e7),
                    nan if altitude_m is None else altitude_m,
                    point.error_m,
                    *(nan, nan, nan, nan, nan),
                    math.hypot(point.north_m, point.east_m),
                    math.atan2(point.east_m, point.north_m) % math.tau,
                    nan,
                )
            )
        return messages

    def _pick(self, result: FrameResult) -> int | None:
        """Index of the object to send; None in an empty frame."""
        if len(result.detections) == 0:
            return None
        tracks = result.track_ids
        if tracks is not None and self._sent_track >= 0 and self._sent_track in tracks:
            return int(np.flatnonzero(tracks == self._sent_track)[0])
        best = int(result.detections.scores.argmax())
        self._sent_track = -1 if tracks is None else int(tracks[best])
        return best

    def _take(self, link: Link, message: Any, sender: Sender) -> None:
        now = time.monotonic()
        kind, system = message.get_type(), message.get_srcSystem()
        is_autopilot = message.get_srcComponent() == dialect.MAV_COMP_ID_AUTOPILOT1
        if kind == "HEARTBEAT":
            if is_autopilot and system != 0 and message.autopilot != dialect.MAV_AUTOPILOT_INVALID:
                self._take_heartbeat(link, (system, sender), now)
            return
        if (system, sender) != self._vehicle or kind not in _HANDLERS:
            return
        handler, is_autopilots = _HANDLERS[kind]
        if is_autopilots and not is_autopilot:
            return
        with self._lock:
            if handler(self._state, message, now):
                self._posed_s = now

    def _take_heartbeat(self, link: Link, vehicle: tuple[int, Sender], now: float) -> None:
        if vehicle != self._vehicle:
            if now - self._heard_s <= SILENT_S:
                return
            with self._lock:  # positions of another vehicle are none of this one
                self._state = FlightState()
            self._vehicle = vehicle
            self._codec.srcSystem = vehicle[0]
            link.answer(vehicle[1])
            _logger.info("mavlink: autopilot of system %d", vehicle[0])
        self._heard_s = now


def _take_position(state: FlightState, message: Any, now: float) -> bool:
    if message.lat == 0 and message.lon == 0:  # autopilots send this before they have a fix
        return False
    latitude_deg, longitude_deg = message.lat / 1e7, message.lon / 1e7
    altitude_m, height_m = message.alt / 1e3, message.relative_alt / 1e3
    if abs(latitude_deg) > 90 or abs(longitude_deg) > 180 or max(abs(altitude_m), abs(height_m)) > MAX_HEIGHT_M:
        return False
    state.ground_altitude_m = altitude_m - height_m
    state.add_position(message.time_boot_ms / 1e3, now, latitude_deg, longitude_deg, height_m)
    return True


def _take_attitude(state: FlightState, message: Any, now: float) -> bool:
    angles = (message.roll, message.pitch, message.yaw)
    if all(abs(angle) <= math.tau for angle in angles):  # not so for NaN
        state.add_attitude(message.time_boot_ms / 1e3, now, rotation_from_euler(*angles))
    return False


def _take_gimbal(state: FlightState, message: Any, now: float) -> bool:
    """Add the gimbal's attitude: its yaw is from north, or from the aircraft's heading (MAVLink gimbal protocol v2)."""
    w, x, y, z = message.q
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    if not 0.5 < norm < 2:  # not so for NaN
        return False
    rotation = rotation_from_quaternion(w / norm, x / norm, y / norm, z / norm)
    earth = dialect.GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME | dialect.GIMBAL_DEVICE_FLAGS_YAW_LOCK
    in_vehicle_frame = message.flags & dialect.GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME
    time_boot_s = message.time_boot_ms / 1e3
    if in_vehicle_frame or not message.flags & earth:
        yaw = state.airframe_yaw_at(time_boot_s)
        if yaw is None:
            return False
        rotation = rotation_from_euler(0, 0, yaw) @ rotation
    state.add_gimbal(time_boot_s, now, rotation)
    return False


def rotation_from_quaternion(w: float, x: float, y: float, z: float) -> Rotation:
    """Rotation matrix (3, 3) of a unit quaternion, scalar first as in MAVLink."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


_HANDLERS = {
    "GLOBAL_POSITION_INT": (_take_position, True),
    "ATTITUDE": (_take_attitude, True),
    "GIMBAL_DEVICE_ATTITUDE_STATUS": (_take_gimbal, False),
}
"""Handlers of messages, and whether only the autopilot itself sends them: gimbals send their own attitude."""
