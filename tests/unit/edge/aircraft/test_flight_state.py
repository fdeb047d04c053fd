from __future__ import annotations

import math

import numpy as np
import pytest

from tinydet.edge.aircraft.flight_state import FlightState
from tinydet.edge.aircraft.geolocation import rotation_from_euler


def flown(delays_s: tuple[float, ...] = (0.0,) * 21) -> FlightState:
    """Two seconds from boot time 100 s, this computer's clock 900 s ahead: to the north-east, climbing, turning."""
    state = FlightState()
    for step, delay_s in enumerate(delays_s):
        time_s = step / 10
        received_s = 1000 + time_s + delay_s
        yaw = math.radians(170 + 10 * time_s)
        state.add_attitude(100 + time_s, received_s, rotation_from_euler(0, 0, yaw))
        state.add_position(100 + time_s, received_s, 48 + time_s * 1e-4, 179.9999 + time_s * 1e-4, 50 + time_s)
    return state


def yaw_deg(rotation: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return math.degrees(math.atan2(rotation[1, 0], rotation[0, 0])) % 360


@pytest.mark.parametrize("time_s", [0.0, 0.55, 1.0, 1.51, 2.0])
def test_between_messages(time_s: float) -> None:
    pose = flown().pose_at(1000 + time_s)
    assert pose is not None
    assert pose.latitude_deg == pytest.approx(48 + time_s * 1e-4, abs=1e-9)
    assert (pose.longitude_deg % 360) == pytest.approx(179.9999 + time_s * 1e-4, abs=1e-9)
    assert pose.height_m == pytest.approx(50 + time_s)
    assert yaw_deg(pose.ned_from_body) == pytest.approx(170 + 10 * time_s, abs=1e-3)
    np.testing.assert_allclose(pose.ned_from_body @ pose.ned_from_body.T, np.eye(3), atol=1e-12)


def test_the_link_s_changing_delay_does_not_move_the_frame_s_time() -> None:
    delays_s = tuple(0.08 * (step % 4) for step in range(21))
    pose = flown(delays_s).pose_at(1001.0)
    assert pose is not None and pose.height_m == pytest.approx(51)


def test_outside_the_messages_the_nearest_counts_for_a_second() -> None:
    late = flown().pose_at(1002.9)
    assert late is not None and late.height_m == pytest.approx(52)
    assert flown().pose_at(1003.1) is None
    assert flown().pose_at(998.9) is None


def test_both_messages_are_needed() -> None:
    state = FlightState()
    assert state.pose_at(1000) is None
    state.add_position(100, 1000, 48, 9, 50)
    assert state.pose_at(1000) is None
    state.add_attitude(100, 1000, np.eye(3))
    assert state.pose_at(1000) is not None
    assert state.pose_at(1000, of_gimbal=True) is None
    state.add_gimbal(100, 1000, rotation_from_euler(0, -math.pi / 2, 0))
    gimbal = state.pose_at(1000, of_gimbal=True)
    assert gimbal is not None and gimbal.ned_from_body[2, 0] == pytest.approx(1)


def test_an_autopilot_that_started_anew_is_followed() -> None:
    state = flown()
    state.add_attitude(3.0, 1010.0, np.eye(3))
    state.add_position(3.0, 1010.0, -30, 20, 7)
    pose = state.pose_at(1010.0)
    assert pose is not None and (pose.latitude_deg, pose.height_m) == pytest.approx((-30, 7))
    assert state.pose_at(1001.0) is None
