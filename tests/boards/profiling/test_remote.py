"""`tinydet profile --host` against a real sshd on this machine."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards.profiling.ssh_server import SSHD, SshServer, ssh_server
from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tinydet.boards.profiling.profile_file import read_profile
from tinydet.boards.profiling.remote import profile_on_host
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SSHD is None, reason="no sshd here: apt install openssh-server"),
]

TINYDET = str(Path(sys.executable).with_name("tinydet"))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    (tmp_path / "ssh").mkdir()
    with ssh_server(tmp_path / "ssh") as running:
        monkeypatch.setenv("PATH", f"{running.bin}:{os.environ['PATH']}")
        yield running


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.onnx", "b.onnx"):
        write_spot_detector(tmp_path / name, spot_metadata(class_names=("car",)))
    write_coco(tmp_path / "data", coco(annotations=[annotation(), annotation(id=2, image_id=20)]))


def left_there() -> set[Path]:
    return {path.parent for path in Path("/tmp").glob("tmp.*/a.onnx")}


def test_what_is_measured_there_comes_back(server: SshServer, capsys: pytest.CaptureFixture[str]) -> None:
    before = left_there()
    command = ["profile", "a.onnx", "b.onnx", "--data", "data", "--seconds", "0.2", "--json", "out.json"]
    command += ["--report", "out.html", "--host", server.host, "--host-tinydet", TINYDET]
    assert main(command) == 0
    content = read_profile(Path("out.json"))
    assert content["complete"] and [row["artifact"] for row in content["artifacts"]] == ["a.onnx", "b.onnx"]
    assert all(len(row["turns"]) == 5 and row["accuracy"]["AP"] == 0 for row in content["artifacts"])
    assert content["protocol"]["data"] == "data/annotations/val.json"
    assert "Best and worst frames" in Path("out.html").read_text()  # needs the detections, which stay there
    assert "next: tinydet recommend out.json" in capsys.readouterr().err
    assert left_there() == before


def test_an_unknown_host_is_refused_before_anything_is_sent(server: SshServer) -> None:
    server.known_hosts.write_text("")
    with pytest.raises(InputError, match=r"the key of board is unknown: run `ssh board` once"):
        profile_on_host(server.host, ["a.onnx"], options=[])
    assert server.known_hosts.read_text() == ""


def test_another_key_than_the_known_one_is_refused(server: SshServer) -> None:
    other = (server.known_hosts.parent / "user_key.pub").read_text()
    server.known_hosts.write_text(f"{server.known_hosts.read_text().split()[0]} {other}")
    with pytest.raises(InputError, match=r"the key of board differs from the known one"):
        profile_on_host(server.host, ["a.onnx"], options=[])


def test_a_connection_that_drops_leaves_what_came(server: SshServer, capsys: pytest.CaptureFixture[str]) -> None:
    before = left_there()

    def hang_up() -> None:
        while not left_there() - before:
            time.sleep(0.05)
        time.sleep(8)  # some of ten turns of a second each, and what they take to start
        server.hang_up()

    thread = threading.Thread(target=hang_up)
    thread.start()
    command = ["profile", "a.onnx", "b.onnx", "--seconds", "5", "--json", "out.json", "--report", "out.html"]
    assert main([*command, "--host", server.host, "--host-tinydet", TINYDET]) == 2
    thread.join()
    shown = capsys.readouterr().err
    assert shown.splitlines()[-1].startswith("error: no connection to board: ")
    assert "the result so far is above and in out.json, out.html" in shown
    content = read_profile(Path("out.json"))
    assert content["complete"] is False
    assert 0 < sum(len(row["turns"]) for row in content["artifacts"]) < 10
    assert "incomplete: the measurement broke off" in Path("out.html").read_text()
    end_s = time.monotonic() + 20
    while left_there() != before:  # the board notices when it next writes
        assert time.monotonic() < end_s, "the board kept its folder"
        time.sleep(0.1)


def test_a_board_without_tinydet_is_told_so(server: SshServer) -> None:
    with pytest.raises(InputError, match=r"board has no command nowhere/tinydet: install tinydet there"):
        profile_on_host(server.host, ["a.onnx"], options=[], tinydet="nowhere/tinydet")


def test_what_the_board_refuses_is_told(server: SshServer) -> None:
    with pytest.raises(InputError, match=r"board: argument --seconds: expected a number above 0"):
        profile_on_host(server.host, ["a.onnx"], options=["--seconds", "0"], tinydet=TINYDET)


def test_images_without_labels_are_speed_only(server: SshServer) -> None:
    dataset = read_dataset(write_coco(Path("data"), coco(annotations=[])))
    came: list[int] = []
    remote = profile_on_host(
        server.host,
        ["a.onnx"],
        options=["--seconds", "0.2"],
        dataset=dataset,
        tinydet=TINYDET,
        on_profile=lambda content: came.append(len(content["artifacts"][0]["turns"])),
    )
    assert remote.broken is None and remote.report_html is None
    assert came == [1, 2, 3, 4, 5, 5]
    assert remote.content["artifacts"][0]["accuracy"] is None
    json.dumps(remote.content)


@pytest.mark.parametrize(
    ("artifacts", "host", "says"),
    [
        (["n"], "board", "--host takes artifact files, and n is not a file"),
        (["a.onnx", "other/a.onnx"], "board", "two artifacts are named a.onnx"),
        (["a.onnx"], "-oProxyCommand=touch here", "--host: expected user@board, got '-oProxyCommand=touch here'"),
    ],
)
def test_wrong_input_before_a_connection(artifacts: list[str], host: str, says: str) -> None:
    Path("other").mkdir()
    write_spot_detector(Path("other/a.onnx"))
    with pytest.raises(InputError, match=says):
        profile_on_host(host, artifacts, options=[])
    assert not Path("here").exists()
