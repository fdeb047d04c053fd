"""Runs a command on a board with the system's `ssh`, without any question to the user.

It connects only to hosts whose key is known, and logs in only with a key; an unknown host is refused. Names, ports and
keys come from ~/.ssh/config as for `ssh` itself; `ssh://user@board:2222` gives a port.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from tinydet.edge.errors import InputError

OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",  # three without an answer end the connection
    "ServerAliveCountMax": "3",
}
FAILED = 255  # ssh's own exit code


@dataclass(kw_only=True)
class Session:
    """A command running on the board."""

    stdout: IO[bytes]
    code: int = -1
    """Exit code, set when `session` ends."""
    stderr: str = ""
    """Set when `session` ends."""


@contextmanager
def session(host: str, command: str, send: Callable[[IO[bytes]], None]) -> Iterator[Session]:
    """Run `command` in the board's shell; `send` writes its stdin while the block reads its stdout.

    Raises:
        InputError: ssh is not installed, or `host` is not a host.
    """
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InputError("ssh is not installed: sudo apt install openssh-client")
    if not host or host.startswith("-"):
        raise InputError(f"--host: expected user@board, got {host!r}")
    options = [part for name, value in OPTIONS.items() for part in ("-o", f"{name}={value}")]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [ssh, "-T", *options, "--", host, command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None and process.stdout is not None
        sender = threading.Thread(target=_send, args=(send, process.stdin), name="ssh", daemon=True)
        sender.start()
        running = Session(stdout=process.stdout)
        try:
            yield running
        except BaseException:  # Ctrl-C too: ssh must not outlive the block that reads its output
            process.kill()
            raise
        finally:
            process.stdout.close()
            running.code = process.wait()
            sender.join()
            errors.seek(0)
            running.stderr = errors.read().decode(errors="replace").strip()


def failure_reason(host: str, stderr: str) -> str:
    """One line on why ssh itself failed, and what to do."""
    last = stderr.splitlines()[-1] if stderr else "ssh gave no reason"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in stderr:
        return f"the key of {host} differs from the known one: another computer may be answering ({last})"
    if "Host key verification failed" in stderr:
        return f"the key of {host} is unknown: run `ssh {host}` once and compare its fingerprint with the board's"
    if "Permission denied" in stderr:
        return f"{host} does not accept your key: run `ssh-copy-id {host}` once"
    return f"no connection to {host}: {last}"


def _send(send: Callable[[IO[bytes]], None], stdin: IO[bytes]) -> None:
    try:
        with stdin:
            send(stdin)
    except (BrokenPipeError, ConnectionError):
        pass  # the other side has ended; its exit code has the reason
