"""Finds cameras, and whether this user can read them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding
from tinydet.boards.system_files import read_text
from tinydet.edge.vendor_tools import RunTool

GSTREAMER_INSTALL = (
    "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)

#: Name (a regular expression) of the device nodes that a receiver for CSI cameras has while a sensor is connected
#: -> the GStreamer plugin that makes images of its raw data, and the command line that installs it.
_CSI_RECEIVERS = {
    "vi-output": ("nvarguscamerasrc", "sudo apt install nvidia-l4t-gstreamer"),
    "unicam|rp1-cfe": ("libcamera", "sudo apt install gstreamer1.0-libcamera"),
}
_LIBCAMERA = _CSI_RECEIVERS["unicam|rp1-cfe"]
_LIST_COMMANDS = ("rpicam-hello", "libcamera-hello")
#: Device nodes of the board's own image processors, which are not cameras.
_PROCESSORS = re.compile(r"bcm2835-|rpivid|rpi-|pispbe|hevc")


def camera_findings(root: Path, run: RunTool) -> list[Finding]:
    """A finding for each USB camera, one for CSI cameras and one for GStreamer."""
    names = _video_nodes(root)
    receivers = {node: name for node, name in names.items() if _receiver(name) is not None}
    cameras = [node for node, name in names.items() if node not in receivers and not _PROCESSORS.match(name)]
    findings = [_usb_finding(root, node, names[node]) for node in cameras]
    listed = _listed_by_libcamera(run)
    if listed or receivers:
        plugin, install = next((found for name in receivers.values() if (found := _receiver(name))), _LIBCAMERA)
        findings.append(_csi_finding(root, listed or sorted(set(receivers.values())), plugin, install))
    if not findings:
        findings.append(_finding("camera", NOT_AVAILABLE, "none found; files and network streams work"))
    return [*findings, _gstreamer_finding(root)]


def _video_nodes(root: Path) -> dict[str, str]:
    """Device node -> name. A USB camera's second node, whose `index` is not 0, carries no images and is left out."""
    nodes = {path.name for path in (root / "dev").glob("video[0-9]*")}
    nodes |= {path.name for path in (root / "sys/class/video4linux").glob("video[0-9]*")}
    found = {}
    for node in sorted(nodes, key=lambda node: (len(node), node)):
        folder = root / "sys/class/video4linux" / node
        name = read_text(folder / "name") or "unnamed"
        if read_text(folder / "index") in ("", "0") or _receiver(name) is not None:
            found[node] = name
    return found


def _usb_finding(root: Path, node: str, name: str) -> Finding:
    device = root / "dev" / node
    if not device.exists():
        seen = f"{name}: known to the kernel, but /dev/{node} does not exist"
        return _finding(f"/dev/{node}", MISSING, seen, f"in a container: --device /dev/{node}")
    if not os.access(device, os.R_OK | os.W_OK):
        fix = "sudo usermod -aG video $USER  # then log in again"
        return _finding(f"/dev/{node}", MISSING, f"{name}: not readable for this user", fix)
    return _finding(f"/dev/{node}", OK, f"{name}: readable")


def _csi_finding(root: Path, sensors: Sequence[str], plugin: str, install: str) -> Finding:
    names = ", ".join(sensors)
    if not _has_program(root, "gst-launch-1.0"):
        return _finding("csi://0", MISSING, f"{names}: no gst-launch-1.0", f"{GSTREAMER_INSTALL} && {install}")
    if not any((root / "usr/lib").glob(f"*/gstreamer-1.0/libgst{plugin}.so")):
        return _finding("csi://0", MISSING, f"{names}: no plugin {plugin}", install)
    return _finding("csi://0", OK, f"{names}: through GStreamer's {plugin}")


def _gstreamer_finding(root: Path) -> Finding:
    if _has_program(root, "gst-launch-1.0"):
        return _finding("GStreamer", OK, "gst-launch-1.0 is installed, for csi: and gst: sources")
    return _finding("GStreamer", NOT_AVAILABLE, "no gst-launch-1.0, so no csi: and gst: sources", GSTREAMER_INSTALL)


def _finding(name: str, state: str, seen: str, fix: str | None = None) -> Finding:
    return Finding(part="camera", name=name, state=state, seen=seen, fix=fix)


def _listed_by_libcamera(run: RunTool) -> list[str]:
    """Names of the sensors, for example imx708."""
    for command in _LIST_COMMANDS:
        printed = run([command, "--list-cameras"])
        if printed is not None:
            return re.findall(r"^\s*\d+ : (\S+)", printed, re.MULTILINE)
    return []


def _receiver(name: str) -> tuple[str, str] | None:
    return next((found for pattern, found in _CSI_RECEIVERS.items() if re.match(pattern, name)), None)


def _has_program(root: Path, name: str) -> bool:
    return any((root / folder / name).is_file() for folder in ("usr/local/bin", "usr/bin", "bin"))
