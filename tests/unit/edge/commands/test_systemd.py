"""Addresses of a service manager that cannot be notified."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tinydet.edge.commands import systemd
from tinydet.edge.commands.systemd import ServiceManager
from tinydet.edge.stream.failures import Failures


@pytest.mark.parametrize(
    "address", ["/run/none/notify", "x" * 4000, "@" + "y" * 4000, "\udcff/notify", "vsock:2:1", "/"]
)
def test_a_service_manager_that_cannot_be_reached_is_logged_once_and_counted(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setattr(systemd, "BEAT_S", 0.0)
    failures = Failures()
    service = ServiceManager(failures)
    for _ in range(5):
        service.beat()
    service.stopping()
    assert failures.counts() == {"systemd": 6}
    assert len(caplog.messages) == 1 and "cannot notify" in caplog.messages[0] and caplog.messages[0].isprintable()


def test_a_service_manager_that_reads_nothing_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setattr(systemd, "BEAT_S", 0.0)
        failures = Failures()
        service = ServiceManager(failures)
        for _ in range(2000):
            service.beat()
        assert failures.counts()["systemd"] > 0
