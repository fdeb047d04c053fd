from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.boards.board_trees import lay_out
from tinydet.boards.doctor.cameras import GSTREAMER_INSTALL, camera_findings
from tinydet.boards.doctor.finding import MISSING, NOT_AVAILABLE, OK, Finding

USB = {
    "dev/video0": "",
    "dev/video1": "",
    "sys/class/video4linux/video0/name": "HD Pro Webcam C920\n",
    "sys/class/video4linux/video0/index": "0\n",
    "sys/class/video4linux/video1/name": "HD Pro Webcam C920\n",
    "sys/class/video4linux/video1/index": "1\n",
}
GST_LAUNCH = {"usr/bin/gst-launch-1.0": ""}
LIBCAMERA_PLUGIN = {"usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstlibcamera.so": ""}
ARGUS_PLUGIN = {"usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so": ""}
JETSON_CSI = {
    "dev/video0": "",
    "sys/class/video4linux/video0/name": "vi-output, imx219 9-0010\n",
    "sys/class/video4linux/video0/index": "0\n",
}
PI_PROCESSORS = {
    f"sys/class/video4linux/video{number}/name": f"{name}\n"
    for number, name in (
        (10, "bcm2835-codec-decode"),
        (13, "bcm2835-isp-output0"),
        (19, "rpivid"),
        (20, "pispbe-input"),
    )
}
LISTED = "Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/imx708@1a)\n"
NONE_LISTED = "No cameras available!\n"


def findings(root: Path, *trees: dict[str, str], listed: str | None = None) -> dict[str, Finding]:
    for tree in trees:
        lay_out(root, tree)
    printed = {"rpicam-hello --list-cameras": listed}
    return {
        finding.name: finding for finding in camera_findings(root, lambda arguments: printed.get(" ".join(arguments)))
    }


def test_a_usb_camera_has_one_device_with_pictures(tmp_path: Path) -> None:
    found = findings(tmp_path, USB, GST_LAUNCH)
    assert list(found) == ["/dev/video0", "GStreamer"]
    assert (found["/dev/video0"].state, found["/dev/video0"].seen) == (OK, "HD Pro Webcam C920: readable")


def test_a_camera_that_is_not_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    camera = findings(tmp_path, USB)["/dev/video0"]
    assert camera.state == MISSING
    assert camera.fix is not None and camera.fix.startswith("sudo usermod -aG video $USER")


def test_a_camera_that_the_container_was_not_given(tmp_path: Path) -> None:
    tree = {path: text for path, text in USB.items() if path.startswith("sys/")}
    camera = findings(tmp_path, tree)["/dev/video0"]
    assert camera.state == MISSING
    assert camera.fix == "in a container: --device /dev/video0"


def test_without_camera_and_gstreamer_files_still_work(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert {finding.state for finding in found.values()} == {NOT_AVAILABLE}
    assert found["GStreamer"].fix == GSTREAMER_INSTALL


def test_image_processors_are_not_cameras(tmp_path: Path) -> None:
    found = findings(tmp_path, PI_PROCESSORS, listed=NONE_LISTED)
    assert list(found) == ["camera", "GStreamer"]


@pytest.mark.parametrize(
    ("tree", "listed", "plugin", "install"),
    [
        (PI_PROCESSORS, LISTED, LIBCAMERA_PLUGIN, "sudo apt install gstreamer1.0-libcamera"),
        ({"sys/class/video4linux/video0/name": "unicam\n"}, None, LIBCAMERA_PLUGIN, "gstreamer1.0-libcamera"),
        ({"sys/class/video4linux/video0/name": "rp1-cfe-csi2_ch0\n"}, None, LIBCAMERA_PLUGIN, "gstreamer1.0-libcamera"),
        (JETSON_CSI, None, ARGUS_PLUGIN, "sudo apt install nvidia-l4t-gstreamer"),
    ],
)
def test_a_csi_camera(
    tmp_path: Path, tree: dict[str, str], listed: str | None, plugin: dict[str, str], install: str
) -> None:
    bare = findings(tmp_path, tree, listed=listed)["csi://0"]
    assert bare.state == MISSING and bare.fix is not None
    assert GSTREAMER_INSTALL in bare.fix and install in bare.fix
    without_plugin = findings(tmp_path, GST_LAUNCH, listed=listed)["csi://0"]
    assert without_plugin.state == MISSING
    assert without_plugin.fix is not None and install in without_plugin.fix and "plugin" in without_plugin.seen
    assert findings(tmp_path, plugin, listed=listed)["csi://0"].state == OK


def test_a_csi_camera_is_named(tmp_path: Path) -> None:
    assert findings(tmp_path, GST_LAUNCH, LIBCAMERA_PLUGIN, listed=LISTED)["csi://0"].seen.startswith("imx708")
    assert "imx219" in findings(tmp_path / "jetson", JETSON_CSI, GST_LAUNCH, ARGUS_PLUGIN)["csi://0"].seen
