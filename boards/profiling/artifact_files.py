"""Files of an artifact: OpenVINO has a separate weights file, TensorRT needs its sidecar."""

from __future__ import annotations

from pathlib import Path

from tinydet.edge.runtimes.engine_sidecar import sidecar_path


def artifact_files(artifact: Path) -> list[Path]:
    """The artifact and the files that belong to it; empty if there is no such file (a bundled size)."""
    beside = {".xml": artifact.with_suffix(".bin"), ".engine": sidecar_path(artifact)}.get(artifact.suffix)
    return [path for path in (artifact, beside) if path is not None and path.is_file()]
