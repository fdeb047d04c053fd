"""Endurance test: `python -m tests.boards.endurance ARTIFACT CLIP --minutes 30`.

The clip is looped as a live source at its own rate; `tinydet detect` runs as a process with tracking and every sink:
video, JSON lines, COCO, the live page with a viewer, MAVLink with an autopilot at the other end. Memory and file
descriptors are read once a second, and their second half is compared with the first, as is the latency's 99th
percentile; the exit code is 1 if one of them grows.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import IO, Any
from urllib.request import urlopen

import cv2
import numpy as np
import numpy.typing as npt

from tests.paths import EDGE_TESTS

MAX_GROWTH = 0.02
MAX_P99_GROWTH = 0.25
WARM_UP_SHARE = 0.1
"""Share of the time that is not judged: caches fill and the encoder allocates."""

PEER = EDGE_TESTS / "aircraft" / "autopilot_peer.py"
CAMERA = """[camera]
image_wh_px = [1280, 720]
fx_px = 1000.0
fy_px = 1000.0
cx_px = 640.0
cy_px = 360.0
pitch_deg = -90
"""


def _feed(clip: Path, pipe: IO[bytes]) -> None:
    """Write raw RGB at the clip's rate, endlessly; frames are late rather than dropped."""
    due_s = time.monotonic()
    try:
        while True:
            capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
            while True:
                decoded, image_bgr = capture.read()
                if not decoded:
                    break
                pipe.write(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB).tobytes())
                due_s = max(due_s + 1 / capture.get(cv2.CAP_PROP_FPS), time.monotonic() - 1)
                time.sleep(max(0.0, due_s - time.monotonic()))
            capture.release()
    except OSError:
        return


def _watch(address: str) -> None:
    """A viewer of the live page."""
    try:
        with urlopen(f"{address}/stream", timeout=60) as stream:
            while stream.read(1 << 16):
                pass
    except OSError:
        return


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _memory_mib(process_id: int) -> float:
    """Private memory of the process, from /proc/PID/smaps_rollup (Private_Dirty: no page cache of the outputs)."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no Private_Dirty in smaps_rollup")


def main() -> int:
    """Run, then compare the second half with the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("more", nargs="*", help="more options of detect, after --")
    arguments = parser.parse_args()
    capture = cv2.VideoCapture(str(arguments.clip), cv2.CAP_FFMPEG)
    width, height, rate = (
        capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    )
    capture.release()
    web, autopilot = _free_port(socket.SOCK_STREAM), _free_port(socket.SOCK_DGRAM)
    page = f"http://127.0.0.1:{web}"
    life_s = 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (out / "camera.toml").write_text(CAMERA)
        with (out / "peer.jsonl").open("w") as heard:
            peer = subprocess.Popen([sys.executable, PEER, str(autopilot), *[str(life_s + 60)] * 2], stdout=heard)
        command = [sys.executable, "-m", "tinydet", "detect", str(arguments.artifact)]
        command += [f"stdin://{width:.0f}x{height:.0f}@{rate:.0f}", "--threads", str(arguments.threads), "--track"]
        command += ["--save", str(out / "video"), "--jsonl", str(out / "a.jsonl"), "--coco", str(out / "a.json")]
        command += ["--serve", str(web), "--mavlink", f"udpout:127.0.0.1:{autopilot}"]
        command += ["--camera", str(out / "camera.toml")]
        detect = subprocess.Popen([*command, *arguments.more], stdin=subprocess.PIPE)
        assert detect.stdin is not None
        Thread(target=_feed, args=(arguments.clip, detect.stdin), daemon=True).start()
        memory_mib, descriptors = [], []
        time.sleep(5)
        Thread(target=_watch, args=(page,), daemon=True).start()
        end_s = time.monotonic() + life_s
        while time.monotonic() < end_s and detect.poll() is None:
            with urlopen(f"{page}/status", timeout=60) as status:
                json.load(status)
            time.sleep(1)
            memory_mib.append(_memory_mib(detect.pid))
            descriptors.append(len(list(Path(f"/proc/{detect.pid}/fd").iterdir())))
        detect.send_signal(signal.SIGTERM)
        exit_code = detect.wait(60)
        peer.kill()
        peer.wait()
        lines = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
        images = len(json.loads((out / "a.json").read_text())["images"])
        messages = sum(1 for line in (out / "peer.jsonl").open() if "CAMERA_TRACKING_GEO_STATUS" in line)
        video_mib = sum(file.stat().st_size for file in (out / "video").iterdir()) / 2**20
    sys.stdout.write(f"{video_mib:.0f} MiB of video, {messages} positions at the autopilot\n")
    return _judge(exit_code, memory_mib, descriptors, lines, images)


def _judge(
    exit_code: int, memory_mib: list[float], descriptors: list[int], lines: list[dict[str, Any]], images: int
) -> int:
    start, middle = int(len(memory_mib) * WARM_UP_SHARE), len(memory_mib) // 2
    before_mib, after_mib = np.median(memory_mib[start:middle]), np.median(memory_mib[middle:])
    growth = after_mib / before_mib - 1
    total_ms = np.array([line["latency_ms"]["total"] for line in lines])
    first, second = total_ms[int(len(lines) * WARM_UP_SHARE) : len(lines) // 2], total_ms[len(lines) // 2 :]
    p99_ms = np.percentile(first, 99), np.percentile(second, 99)
    steady = set(descriptors[start:])
    ages_ms = [line["age_ms"] for line in lines]
    sys.stdout.write(
        f"exit {exit_code}, {len(lines)} results, {lines[-1]['dropped']} left out, {images} images in COCO\n"
        f"memory {before_mib:.1f} -> {after_mib:.1f} MiB ({growth:+.2%}), descriptors {sorted(steady)}\n"
        f"latency p99 {p99_ms[0]:.1f} -> {p99_ms[1]:.1f} ms, by thirds {_by_thirds(total_ms, 99)}, p50 by thirds "
        f"{_by_thirds(total_ms, 50)}; age p50 {np.median(ages_ms):.1f} p99 {np.percentile(ages_ms, 99):.1f} ms\n"
        f"memory by tenths {', '.join(f'{np.median(part):.1f}' for part in np.array_split(np.array(memory_mib), 10))}\n"
    )
    steady_p99 = p99_ms[1] <= (1 + MAX_P99_GROWTH) * p99_ms[0]
    good = exit_code == 0 and growth < MAX_GROWTH and len(steady) == 1 and steady_p99
    return 0 if good and images <= len(lines) else 1


def _by_thirds(values_ms: npt.NDArray[np.float64], percentile: float) -> str:
    return ", ".join(f"{np.percentile(part, percentile):.1f}" for part in np.array_split(values_ms, 3))


if __name__ == "__main__":
    sys.exit(main())
