"""Runs a command on a board over the system's `ssh`, which is asked to never ask.

Only hosts whose key is known are talked to, and only with a key: what is unknown is refused, not accepted. Names, ports
and keys come from ~/.ssh/config as for `ssh` itself; `ssh://user@board:2222` names a port.
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
    "ServerAliveInterval": "5",  # a board that vanishes is noticed after three of them
    "ServerAliveCountMax": "3",
}
FAILED = 255  # ssh's own exit code


@dataclass(kw_only=True)
class Session:
    """A command that runs on the board."""

    stdout: IO[bytes]
    code: int = -1
    """Exit code, once `session` has ended."""
    said: str = ""
    """What came on stderr, then."""


@contextmanager
def session(host: str, command: str, send: Callable[[IO[bytes]], None]) -> Iterator[Session]:
    """Run `command` in the board's shell; `send` writes its standard input, while the block reads its output.

    Raises:
        InputError: there is no ssh here, or `host` is none.
    """
    ssh = shutil.which("ssh")
    if ssh is None:
        raise InputError("no ssh here: sudo apt install openssh-client")
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
        except BaseException:  # Ctrl-C too: ssh must not outlive the block that reads from it
            process.kill()
            raise
        finally:
            process.stdout.close()
            running.code = process.wait()
            sender.join()
            errors.seek(0)
            running.said = errors.read().decode(errors="replace").strip()


def reason(host: str, said: str) -> str:
    """Why ssh itself failed, for people, from what it said."""
    last = said.splitlines()[-1] if said else "it said nothing"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return f"the key of {host} is not the one that is known here: somebody else may be answering ({last})"
    if "Host key verification failed" in said:
        return (
            f"the key of {host} is not known here: run `ssh {host}` once and compare its fingerprint with the board's"
        )
    if "Permission denied" in said:
        return f"{host} lets nobody in without a password: run `ssh-copy-id {host}` once"
    return f"no connection to {host}: {last}"


def _send(send: Callable[[IO[bytes]], None], stdin: IO[bytes]) -> None:
    try:
        with stdin:
            send(stdin)
    except (BrokenPipeError, ConnectionError):
        pass  # the other side has ended: its exit code says why
