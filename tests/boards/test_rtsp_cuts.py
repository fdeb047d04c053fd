"""A network camera that is cut off and comes back, again and again.

Two and a half minutes with TINYDET_CUTS=20; the suite's own run makes one cut. Odd cuts kill the server (the connection
breaks), even ones freeze it (nothing comes any more), which only a limit on waiting notices.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.boards import rtsp_server
from tests.models import write_spot_detector
from tinydet.edge.detection.detector import Detector
from tinydet.edge.sources.live import LiveSource
from tinydet.edge.sources.opening import open_source
from tinydet.edge.stream.pipeline import Pipeline

CUTS = int(os.environ.get("TINYDET_CUTS", "1"))
FRAMES_BETWEEN = 30
LONGEST_GAP_S = 60
FROZEN_S = 7


@pytest.mark.slow
@pytest.mark.timeout(60 + CUTS * LONGEST_GAP_S)
@pytest.mark.skipif(rtsp_server.why_not() is not None, reason=str(rtsp_server.why_not()))
def test_every_cut_is_survived_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = rtsp_server.serve(port)
    try:
        source = open_source(f"rtsp://127.0.0.1:{port}/live")
        assert isinstance(source, LiveSource)
        pipeline = Pipeline(source, Detector(write_spot_detector(tmp_path / "spots.onnx")))
        cuts = since = 0
        gap_began_s = None
        for result in pipeline:
            assert result.frame.captured_s is not None
            assert result.frame.image_rgb.shape == (360, 640, 3)
            if gap_began_s is not None and source.gaps == cuts and result.frame.captured_s > gap_began_s + 1:
                assert time.monotonic() - gap_began_s < LONGEST_GAP_S
                gap_began_s, since = None, 0
            since += 1
            if gap_began_s is None and since >= FRAMES_BETWEEN:
                if cuts == CUTS:
                    pipeline.stop()
                    continue
                cuts += 1
                gap_began_s = time.monotonic()
                server = _cut(server, port, freeze=cuts % 2 == 0)
    finally:
        server.kill()
        server.wait()
    assert source.gaps == CUTS
    gaps_s = [
        float(found[1]) for message in caplog.messages if (found := re.search(r"back after ([0-9.]+) s", message))
    ]
    assert len(gaps_s) == CUTS
    assert all(gap_s > FROZEN_S for gap_s in gaps_s[1::2]), "no frame from before the freeze came as a new one"


def _cut(server: subprocess.Popen[bytes], port: int, *, freeze: bool) -> subprocess.Popen[bytes]:
    """Ends this server and starts the next; a frozen one lives on in silence until the client's patience is over."""
    if freeze:
        server.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
    server.kill()
    server.wait()
    time.sleep(1)
    return rtsp_server.serve(port)
