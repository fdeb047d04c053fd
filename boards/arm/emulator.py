"""Runs Python on an emulated 64-bit Arm CPU, in the folder that `setup.sh` made.

QEMU executes the programs of another architecture instruction by instruction: what they compute is what the board would
compute; how long they take says nothing about the board. Never `-cpu max`: LiteRT computed wrong numbers there.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edge.errors import InputError
from edge.files import write_text

CORES = 4
_COMMON = "fp asimd evtstrm crc32 cpuid"
_NEWER = "aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """What runtimes look at to choose their kernels: without it ONNX Runtime and OpenVINO crash when they load."""

    board: str
    """Where it is found."""
    features: str
    """As `/proc/cpuinfo` lists them; `asimddp` is the 8-bit dot product."""
    midr: int
    """Arm's identification of the core, the register MIDR_EL1."""

    def cpuinfo(self) -> str:
        """The text of `/proc/cpuinfo`."""
        implementer, variant = self.midr >> 24, self.midr >> 20 & 0xF
        part, revision = self.midr >> 4 & 0xFFF, self.midr & 0xF
        core = (
            f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: {implementer:#x}\n"
            f"CPU architecture: 8\nCPU variant\t: {variant:#x}\nCPU part\t: {part:#x}\nCPU revision\t: {revision}\n\n"
        )
        return "".join(f"processor\t: {index}\n{core}" for index in range(CORES))


#: QEMU's name -> CPU.
CPUS = {
    "cortex-a72": Cpu(board="Raspberry Pi 4", features=_COMMON, midr=0x410FD083),
    "cortex-a76": Cpu(board="Raspberry Pi 5", features=f"{_COMMON} {_NEWER}", midr=0x414FD0B1),
}


class EmulatedBoard:
    """One emulated board at a time: its CPU's files are written into the folder it runs in.

    Raises:
        InputError: QEMU is not installed, or the folder was not set up.
    """

    def __init__(self, folder: Path, cpu: str) -> None:
        qemu = shutil.which("qemu-aarch64")
        if qemu is None:
            raise InputError("no QEMU: `make verify-arm` installs it")
        self._folder, self._root = folder.resolve(), folder.resolve() / "root"
        self._command = [qemu, "-L", str(self._root), "-cpu", cpu]
        for path in (self._root / "usr/bin/python3.11", self._folder / "count.so", self._folder / "base"):
            if not path.exists():
                raise InputError(
                    f"no emulated board in {folder} ({path.name} is missing): `make verify-arm` sets it up"
                )
        write_text(self._root / "proc/cpuinfo", CPUS[cpu].cpuinfo())
        for core in range(CORES):
            registers = self._root / f"sys/devices/system/cpu/cpu{core}/regs/identification"
            write_text(registers / "midr_el1", f"{CPUS[cpu].midr:#018x}\n")

    def python(self, runtime: str, *arguments: str | Path) -> str:
        """Run Python with tinydet's base install and `runtime`'s packages; returns what it wrote to stdout.

        Raises:
            InputError: it failed; the message is the last line it said.
        """
        return self._run([], runtime, arguments)

    def instructions(self, artifact: Path, runtime: str) -> int:
        """How many instructions one inference of `artifact` takes on one thread, the second after loading."""
        with TemporaryDirectory() as folder:
            counts = Path(folder) / "counts"
            plugin = ["-plugin", f"{self._folder / 'count.so'},out={counts}"]
            self._run(plugin, runtime, ["-m", "boards.arm.marked_inference", artifact.resolve()])
            before, after = map(int, counts.read_text(encoding="ascii").split())
        return after - before

    def _run(self, plugin: list[str], runtime: str, arguments: Sequence[str | Path]) -> str:
        packages = f"{self._folder / runtime}:{self._folder / 'base'}"
        environment = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [*self._command, *plugin, str(self._root / "usr/bin/python3.11"), *map(str, arguments)]
        process = subprocess.run(
            command,
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            said = (process.stderr.strip() or process.stdout.strip() or "nothing").splitlines()[-1]
            raise InputError(f"the emulated board stopped with exit code {process.returncode}, saying: {said}")
        return process.stdout
