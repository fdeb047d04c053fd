"""A real RTSP server of GStreamer, from Debian's packages, run by the system's Python.

apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly
"""

from __future__ import annotations

import subprocess
from pathlib import Path

SYSTEM_PYTHON = Path("/usr/bin/python3")

_CODE = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("serving", flush=True)
GLib.MainLoop().run()
"""


def why_not() -> str | None:
    """The missing packages; None if the server can run."""
    probe = """
import gi
gi.require_version('GstRtspServer', '1.0')
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert Gst.ElementFactory.find('x264enc')
"""
    if SYSTEM_PYTHON.exists() and not subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True).returncode:
        return None
    return (
        "no RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-ugly"
    )


def serve(port: int) -> subprocess.Popen[bytes]:
    """A server at rtsp://127.0.0.1:PORT/live, ready when this returns."""
    server = subprocess.Popen([SYSTEM_PYTHON, "-c", _CODE, str(port)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line == b"serving\n", line
    return server
