"""The sidecar file of a TensorRT engine: its metadata, and the machine it was built for.

An engine is tuned for one TensorRT release, GPU and power mode; elsewhere it fails to load, or runs slower than it
could. So it is refused elsewhere, in one line that names the command to build it again.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.json_file import read_json
from tinydet.edge.files.names_inside import check_name
from tinydet.edge.files.printable import shown
from tinydet.edge.files.regular_file import file_sha256, kind_of
from tinydet.edge.files.schema import Name, Range, Sha256, validated
from tinydet.edge.files.writing import write_json
from tinydet.edge.runtimes.cuda import Gpu
from tinydet.edge.vendor_tools import jetson_power_mode

SCHEMA_VERSION = 1
NOT_AVAILABLE = "not available"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The software and hardware that an engine depends on."""

    tensorrt: Name
    """Version."""
    gpu: Name
    """Name."""
    compute_capability: Name
    """For example `8.7`."""
    multiprocessors: Annotated[int, Range(0, 1_000_000)]
    """Number of the GPU's multiprocessors that are switched on."""
    power_mode: Name
    """Power mode of a Jetson, for example `MAXN`; `not available` elsewhere."""

    def differing(self, here: Surroundings) -> list[str]:
        """The differences from `here`: `gpu Orin (here: Xavier)`. A power mode that cannot be read is none."""
        found = []
        for field in fields(self):
            was, now = getattr(self, field.name), getattr(here, field.name)
            if was != now and NOT_AVAILABLE not in (was, now):
                found.append(f"{field.name.replace('_', ' ')} {was} (here: {now})")
        return found

    @property
    def slug(self) -> str:
        """All fields in one file name: `tensorrt-10.3.0-orin-8.7-16-maxn`."""
        return "tensorrt-" + re.sub(r"[^a-z0-9.]+", "-", "-".join(map(str, asdict(self).values())).lower())


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """The content of `x.engine.json`."""

    schema_version: int = SCHEMA_VERSION
    surroundings: Surroundings
    source: Name
    """File name of the ONNX artifact."""
    source_sha256: Sha256
    engine_sha256: Sha256
    batch: Annotated[int, Range(1, 4096)]
    """Maximum number of images that the engine takes at once."""
    workspace_mb: Annotated[int, Range(1, 1 << 20)]
    """Maximum memory that the builder could give a kernel as scratch space, MiB."""
    metadata: ArtifactMetadata
    """Metadata of the source, unchanged; its accuracy, if any, was measured with the source."""


def sidecar_path(engine: Path) -> Path:
    """The sidecar's path of `engine`: beside it, with `.json` added."""
    return engine.with_name(f"{engine.name}.json")


def surroundings(tensorrt_version: str, gpu: Gpu) -> Surroundings:
    """The surroundings on this machine."""
    return Surroundings(
        tensorrt=tensorrt_version,
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        multiprocessors=gpu.multiprocessors,
        power_mode=jetson_power_mode() or NOT_AVAILABLE,
    )


def write_sidecar(engine: Path, sidecar: Sidecar) -> None:
    """Write the sidecar beside `engine`, atomically."""
    write_json(sidecar_path(engine), asdict(sidecar))


def read_sidecar(engine: Path) -> Sidecar:
    """Read the sidecar of `engine`. Raises `InputError` when it is missing, damaged or of another version."""
    path = sidecar_path(engine)
    if kind_of(path) is None:
        raise InputError(f"{engine} has no sidecar {path.name}: build it again with {_rebuild(engine)}")
    fix = f"build the engine again with {_rebuild(engine)}"
    content = read_json(path, what="sidecar", fix=fix)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version is {shown(version)}, this tinydet reads {SCHEMA_VERSION}: {fix}")
    sidecar = validated(content, Sidecar, source=str(path), fix=fix)
    if len(check_name(sidecar.source, source=str(path)).parts) != 1:
        raise InputError(f"{path}: source: expected a file beside it, got {shown(sidecar.source)}: {fix}")
    return sidecar


def check_engine(engine: Path, sidecar: Sidecar, here: Surroundings) -> None:
    """Check that `engine` is the file that the sidecar describes and was built for `here`.

    The ONNX artifact it was built from must be unchanged, if it lies beside it. Raises `InputError` otherwise.
    """
    source = engine.with_name(sidecar.source)
    differing = sidecar.surroundings.differing(here)
    problem = None
    if differing:
        problem = f"{engine} was built for {', '.join(differing)}"
    elif file_sha256(engine) != sidecar.engine_sha256:
        problem = f"{engine} is not the file that {sidecar_path(engine).name} describes"
    elif source.is_file() and file_sha256(source) != sidecar.source_sha256:
        problem = f"{source} has changed since {engine.name} was built"
    if problem is not None:
        raise InputError(f"{problem}: build it again with {_rebuild(engine, sidecar)}")


def is_current(engine: Path, wanted: Sidecar) -> bool:
    """Whether `engine` exists and is as `wanted` describes it, apart from its hash."""
    try:
        sidecar = read_sidecar(engine)
        check_engine(engine, sidecar, wanted.surroundings)
    except (InputError, FileNotFoundError):  # the sidecar may be there without its engine
        return False
    return sidecar == replace(wanted, engine_sha256=sidecar.engine_sha256)


def _rebuild(engine: Path, sidecar: Sidecar | None = None) -> str:
    """The command that builds `engine`."""
    if sidecar is None:
        return f"`tinydet build-engine ARTIFACT.tensorrt.onnx --out {engine}`"
    options = f"--out {engine} --batch {sidecar.batch} --workspace-mb {sidecar.workspace_mb}"
    return f"`tinydet build-engine {engine.with_name(sidecar.source)} {options}`"
