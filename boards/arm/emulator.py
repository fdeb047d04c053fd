"""Runs Python on an emulated 64-bit Arm CPU, in the folder that `setup.sh` made.

QEMU executes programs of another architecture instruction by instruction: their results are those of the board, their
times are not. Never use `-cpu max`: LiteRT computed wrong numbers there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tinydet.edge.errors import InputError
from tinydet.edge.files.folders import temporary_folder
from tinydet.edge.files.writing import write_text

CORES = 4
SHARED = ("etc", "lib", "usr")
"""Folders of the root that all CPUs share; other paths, such as /tmp, are those of this machine."""
_COMMON = "fp asimd evtstrm crc32 cpuid"
_NEWER = "aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """CPU features that runtimes choose their kernels by; without them ONNX Runtime and OpenVINO crash on loading."""

    board: str
    """Board with this CPU."""
    compatible: str
    """`compatible` string of that board's device tree."""
    features: str
    """As `/proc/cpuinfo` lists them; `asimddp` is the 8-bit dot product."""
    midr: int
    """Arm's identification of the core, the register MIDR_EL1."""

    def cpuinfo(self) -> str:
        """Text of `/proc/cpuinfo`."""
        implementer, variant = self.midr >> 24, self.midr >> 20 & 0xF
        part, revision = self.midr >> 4 & 0xFFF, self.midr & 0xF
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: {implementer:#x}\n"
            f"CPU architecture: 8\nCPU variant\t: {variant:#x}\nCPU part\t: {part:#x}\nCPU revision\t: {revision}\n\n"
        )
        return "".join(f"processor\t: {index}\n{core}" for index in range(CORES))


#: QEMU's name -> CPU.
CPUS = {
    "cortex-a72": Cpu(board="Raspberry Pi 4", compatible="raspberrypi,4-model-b", features=_COMMON, midr=0x410FD083),
    "cortex-a76": Cpu(
        board="Raspberry Pi 5", compatible="raspberrypi,5-model-b", features=f"{_COMMON} {_NEWER}", midr=0x414FD0B1
    ),
}


class EmulatedBoard:
    """A board with one emulated CPU: FOLDER/CPU holds its own files, the rest is shared.

    Run its Python by hand: `PYTHONPATH=FOLDER/extras FOLDER/cortex-a76/python3 -m tinydet doctor`.

    Raises:
        InputError: QEMU is not installed, or the folder was not set up.
    """

    def __init__(self, folder: Path, cpu: str) -> None:
        qemu = shutil.which("qemu-aarch64")
        if qemu is None:
            raise InputError("no QEMU: `make verify-arm` installs it")
        self._folder = folder.resolve()
        shared = self._folder / "root"
        for path in (shared / "usr/bin/python3.11", self._folder / "count_instructions.so", self._folder / "base"):
            if not path.exists():
                raise InputError(
                    f"no emulated board in {folder} ({path.name} is missing): `make verify-arm` sets it up"
                )
        root = self._folder / cpu / "root"
        root.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            if not (root / name).is_symlink():
                (root / name).symlink_to(shared / name)
        write_text(root / "proc/cpuinfo", CPUS[cpu].cpuinfo())
        write_text(root / "proc/device-tree/model", f"{CPUS[cpu].board}, emulated\0")
        write_text(root / "proc/device-tree/compatible", f"{CPUS[cpu].compatible}\0")
        for core in range(CORES):
            registers = root / f"sys/devices/system/cpu/cpu{core}/regs/identification"
            write_text(registers / "midr_el1", f"{CPUS[cpu].midr:#018x}\n")
        # This script takes the interpreter's place (`sys.executable`): QEMU cannot start programs of the board, but it
        # can start this script, so programs on the board can start their own interpreter.
        self._python = self._folder / cpu / "python3"
        paths = {"qemu": qemu, "root": root}
        quoted = {name: shlex.quote(str(path)) for name, path in paths.items()}
        write_text(
            self._python,
            "#!/bin/sh\n"
            f"export PYTHONHOME={quoted['root']}/usr\n"
            'exec {qemu} -L {root} -cpu {cpu} -0 "$0" {root}/usr/bin/python3.11 "$@"\n'.format(cpu=cpu, **quoted),
        )
        self._python.chmod(0o755)
        self._lock = Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def python(self, packages: Sequence[str], *arguments: str | Path, count_to: Path | None = None) -> str:
        """Run Python on the board; returns its stdout.

        Args:
            packages: folders of `setup.sh` to import from; the first one wins.
            arguments: arguments of Python.
            count_to: file for the number of instructions at each getppid() (count_instructions.c).

        Raises:
            InputError: it failed; the message has the last line of its output.
        """
        environment = {
            "PYTHONPATH": ":".join(str(self._folder / name) for name in packages),
            "XDG_CACHE_HOME": str(self._python.parent / "cache"),
        }
        if count_to is not None:
            environment["QEMU_PLUGIN"] = f"{self._folder / 'count_instructions.so'},out={count_to}"
        with self._lock:
            if self._stopped:
                raise InputError("the emulated board was stopped")
            process = subprocess.Popen(
                [self._python, *arguments],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._running.add(process)
        stdout, stderr = process.communicate()
        with self._lock:
            self._running.remove(process)
        if process.returncode:
            output = (stderr.strip() or stdout.strip() or "no output").splitlines()[-1]
            raise InputError(f"Python on the emulated board ended with exit code {process.returncode}: {output}")
        return stdout

    def stop(self) -> None:
        """Kill the programs that other threads run here, with their children; nothing can be run afterwards."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                with suppress(ProcessLookupError):  # it has just ended
                    os.killpg(process.pid, signal.SIGKILL)

    def instructions(self, packages: Sequence[str], artifact: Path) -> int:
        """Number of instructions of one inference on one thread, the second after loading `artifact`."""
        with temporary_folder() as folder:
            counts = folder / "counts"
            self.python(packages, "-m", "tinydet.boards.arm.marked_inference", artifact.resolve(), count_to=counts)
            before, after = map(int, counts.read_text(encoding="ascii").split())
        return after - before
