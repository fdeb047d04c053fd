"""Which cameras are there, and whether this user may read them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Check
from tinydet.boards.system_files import read_text
from tinydet.edge.vendor_tools import RunTool

GSTREAMER_INSTALL = (
    "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)

#: Nodes of a receiver for CSI cameras: it has them where a sensor is connected, in raw form. The board's GStreamer
#: plugin makes pictures of it. Pattern for the node's name -> that plugin, and what installs it.
_CSI_RECEIVERS = {
    "vi-output": ("nvarguscamerasrc", "sudo apt install nvidia-l4t-gstreamer"),
    "unicam|rp1-cfe": ("libcamera", "sudo apt install gstreamer1.0-libcamera"),
}
_LIBCAMERA = _CSI_RECEIVERS["unicam|rp1-cfe"]
_LIST_COMMANDS = ("rpicam-hello", "libcamera-hello")
#: Nodes of the board's own image processors: no camera stands behind them.
_PROCESSORS = re.compile(r"bcm2835-|rpivid|rpi-|pispbe|hevc")


def camera_checks(root: Path, run: RunTool) -> list[Check]:
    """A line for each camera, and one for what CSI cameras and pipelines need."""
    names = _video_nodes(root)
    receivers = {node: name for node, name in names.items() if _receiver(name) is not None}
    cameras = [node for node, name in names.items() if node not in receivers and not _PROCESSORS.match(name)]
    checks = [_usb_check(root, node, names[node]) for node in cameras]
    listed = _listed_by_libcamera(run)
    if listed or receivers:
        plugin, install = next((found for name in receivers.values() if (found := _receiver(name))), _LIBCAMERA)
        checks.append(_csi_check(root, listed or sorted(set(receivers.values())), plugin, install))
    if not checks:
        checks.append(
            Check(part="camera", name="camera", state=NOT_AVAILABLE, seen="none found; files and streams work")
        )
    return [*checks, _gstreamer_check(root)]


def _video_nodes(root: Path) -> dict[str, str]:
    """Device -> name. A USB camera's second device carries no pictures; the kernel numbers both by `index`."""
    nodes = {path.name for path in (root / "dev").glob("video[0-9]*")}
    nodes |= {path.name for path in (root / "sys/class/video4linux").glob("video[0-9]*")}
    found = {}
    for node in sorted(nodes, key=lambda node: (len(node), node)):
        folder = root / "sys/class/video4linux" / node
        name = read_text(folder / "name") or "unnamed"
        if read_text(folder / "index") in ("", "0") or _receiver(name) is not None:
            found[node] = name
    return found


def _usb_check(root: Path, node: str, name: str) -> Check:
    device = root / "dev" / node
    if not device.exists():
        seen, fix = (
            f"{name}: the kernel knows it, but /dev/{node} is not there",
            f"in a container: --device /dev/{node}",
        )
        return Check(part="camera", name=f"/dev/{node}", state=MISSING, seen=seen, fix=fix)
    if not os.access(device, os.R_OK | os.W_OK):
        seen, fix = f"{name}: not readable for this user", "sudo usermod -aG video $USER  # then log in again"
        return Check(part="camera", name=f"/dev/{node}", state=MISSING, seen=seen, fix=fix)
    return Check(part="camera", name=f"/dev/{node}", state=OK, seen=f"{name}: readable")


def _csi_check(root: Path, sensors: Sequence[str], plugin: str, install: str) -> Check:
    seen = ", ".join(sensors)
    if not _has_program(root, "gst-launch-1.0"):
        fix = f"{GSTREAMER_INSTALL} && {install}"
        return Check(part="camera", name="csi://0", state=MISSING, seen=f"{seen}: no gst-launch-1.0", fix=fix)
    if not any((root / "usr/lib").glob(f"*/gstreamer-1.0/libgst{plugin}.so")):
        return Check(part="camera", name="csi://0", state=MISSING, seen=f"{seen}: no plugin {plugin}", fix=install)
    return Check(part="camera", name="csi://0", state=OK, seen=f"{seen}: through GStreamer's {plugin}")


def _gstreamer_check(root: Path) -> Check:
    if _has_program(root, "gst-launch-1.0"):
        return Check(
            part="camera", name="GStreamer", state=OK, seen="gst-launch-1.0 is there, for csi: and gst: sources"
        )
    seen = "no gst-launch-1.0, so no csi: and gst: sources"
    return Check(part="camera", name="GStreamer", state=NOT_AVAILABLE, seen=seen, fix=GSTREAMER_INSTALL)


def _listed_by_libcamera(run: RunTool) -> list[str]:
    """Sensors by name, for example imx708."""
    for command in _LIST_COMMANDS:
        said = run([command, "--list-cameras"])
        if said is not None:
            return re.findall(r"^\s*\d+ : (\S+)", said, re.MULTILINE)
    return []


def _receiver(name: str) -> tuple[str, str] | None:
    return next((found for pattern, found in _CSI_RECEIVERS.items() if re.match(pattern, name)), None)


def _has_program(root: Path, name: str) -> bool:
    return any((root / folder / name).is_file() for folder in ("usr/local/bin", "usr/bin", "bin"))
