"""A process that acts as an autopilot through pymavlink's own connection; run by tests.

Usage: python autopilot_peer.py PORT POSE_S [LIFE_S]. Sends poses of a fixed place for POSE_S seconds, heartbeats for as
long as it lives (20 s), and prints every message that it gets as one JSON line.
"""

from __future__ import annotations

import json
import sys
import time

from pymavlink import mavutil


def main(port: int, pose_s: float, life_s: float = 20.0) -> None:
    connection = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", source_system=7, source_component=1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start = time.monotonic()
    first = None
    beat = pose = -1.0
    while time.monotonic() - start < life_s:
        message = connection.recv_match(blocking=True, timeout=0.01)
        now = time.monotonic()
        if message is not None:
            first = first or now
            content = {**message.to_dict(), "from": [message.get_srcSystem(), message.get_srcComponent()]}
            sys.stdout.write(json.dumps(content) + "\n")
            sys.stdout.flush()
        if first is None:
            continue
        boot_ms = round((now - start + 100) * 1e3)
        if now - beat > 0.2:
            beat = now
            connection.mav.heartbeat_send(2, 3, 0, 0, 4)
        if now - pose > 0.05 and now - first < pose_s:
            pose = now
            connection.mav.attitude_send(boot_ms, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
            connection.mav.global_position_int_send(boot_ms, 485000000, 90000000, 350000, 100000, 0, 0, 0, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), *map(float, sys.argv[2:]))
