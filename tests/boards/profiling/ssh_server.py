"""A real sshd on loopback with its own keys, and the client's configuration for it."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin:/bin")


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """A running server."""

    host: str
    """Value for `--host`."""
    known_hosts: Path
    """Client's file with the server's key."""
    bin: Path
    """Folder to put first in PATH: its `ssh` is the system's with the test's configuration."""
    process: subprocess.Popen[bytes]

    def hang_up(self) -> None:
        """End every connection; the commands on the board run on until they notice."""
        for child in _children(self.process.pid):
            if Path(f"/proc/{child}/comm").read_text().strip().startswith("sshd"):
                os.kill(child, signal.SIGKILL)


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Run a server that accepts this user."""
    assert SSHD is not None
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known_hosts = folder / "known_hosts"
    host_key = (folder / "host_key.pub").read_text()
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin yes\n"
    )
    (folder / "ssh_config").write_text(
        f"Host board\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {known_hosts}\n  GlobalKnownHostsFile none\n"
    )
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    (bin_folder / "ssh").chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)  # its empty folder for processes before the login
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + 10
        while subprocess.run([bin_folder / "ssh", "-o", "BatchMode=yes", "board", "true"], check=False).returncode:
            assert time.monotonic() < end_s and process.poll() is None, "sshd does not answer"
            time.sleep(0.1)
        yield SshServer(host="board", known_hosts=known_hosts, bin=bin_folder, process=process)
    finally:
        process.kill()
        process.wait()


def _children(pid: int) -> list[int]:
    """Child processes of a process, and theirs."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    direct = [int(word) for word in text.split()]
    return [*direct, *(grandchild for child in direct for grandchild in _children(child))]
