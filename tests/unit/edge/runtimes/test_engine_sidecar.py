from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.regular_file import file_sha256
from tinydet.edge.runtimes.engine_sidecar import (
    NOT_AVAILABLE,
    Sidecar,
    Surroundings,
    check_engine,
    is_current,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)

HERE = Surroundings(tensorrt="10.3.0", gpu="Orin", compute_capability="8.7", multiprocessors=16, power_mode="MAXN")
METADATA = ArtifactMetadata(
    model="n",
    class_names=("car", "person"),
    input_hw=(640, 640),
    score_threshold=0.25,
    nms_iou_threshold=0.6,
    max_detections=300,
    precision="int8",
    quantization="ptq",
    calibration={"count": 1, "sha256": "1" * 64, "images": ["a.png"]},
    checkpoint_sha256="2" * 64,
    tool_versions={"onnx": "1.23.2"},
)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """An engine with its source and sidecar, as `build_engine` writes them."""
    (tmp_path / "n.tensorrt.onnx").write_bytes(b"source")
    path = tmp_path / "n.engine"
    path.write_bytes(b"engine")
    write_sidecar(path, sidecar(path))
    return path


def sidecar(path: Path) -> Sidecar:
    return Sidecar(
        surroundings=HERE,
        source="n.tensorrt.onnx",
        source_sha256=file_sha256(path.with_name("n.tensorrt.onnx")),
        engine_sha256=file_sha256(path),
        batch=2,
        workspace_mb=512,
        metadata=METADATA,
    )


def test_it_comes_back_as_it_was_written(engine: Path) -> None:
    found = read_sidecar(engine)
    assert found == sidecar(engine)
    assert found.metadata.to_json() == METADATA.to_json()
    check_engine(engine, found, HERE)


@pytest.mark.parametrize(
    ("here", "message"),
    [
        (replace(HERE, tensorrt="10.13.0"), "tensorrt 10.3.0 (here: 10.13.0)"),
        (replace(HERE, gpu="Thor", compute_capability="11.0"), "gpu Orin (here: Thor), compute capability 8.7"),
        (replace(HERE, multiprocessors=8), "multiprocessors 16 (here: 8)"),
        (replace(HERE, power_mode="15W"), "power mode MAXN (here: 15W)"),
    ],
)
def test_elsewhere_it_is_refused_with_the_command(engine: Path, here: Surroundings, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_engine(engine, read_sidecar(engine), here)
    line = str(caught.value)
    assert f"{engine} was built for {message}" in line
    source = engine.with_name("n.tensorrt.onnx")
    assert line.endswith(f"`tinydet build-engine {source} --out {engine} --batch 2 --workspace-mb 512`")


def test_a_power_mode_that_cannot_be_read_is_no_reason(engine: Path) -> None:
    check_engine(engine, read_sidecar(engine), replace(HERE, power_mode=NOT_AVAILABLE))


def test_another_engine_or_source_is_refused(engine: Path) -> None:
    engine.with_name("n.tensorrt.onnx").write_bytes(b"retrained")
    with pytest.raises(InputError, match=r"n\.tensorrt\.onnx has changed since n\.engine was built"):
        check_engine(engine, read_sidecar(engine), HERE)
    engine.write_bytes(b"other")
    with pytest.raises(InputError, match=r"is not the file that n\.engine\.json describes"):
        check_engine(engine, read_sidecar(engine), HERE)


def test_an_engine_flies_without_its_source(engine: Path) -> None:
    engine.with_name("n.tensorrt.onnx").unlink()
    check_engine(engine, read_sidecar(engine), HERE)


def test_current_means_built_from_this_for_here_as_asked(engine: Path) -> None:
    wanted = replace(sidecar(engine), engine_sha256="")
    assert is_current(engine, wanted)
    assert not is_current(engine, replace(wanted, batch=1))
    assert not is_current(engine, replace(wanted, surroundings=replace(HERE, power_mode="15W")))
    assert not is_current(engine, replace(wanted, source_sha256="3" * 64))
    engine.unlink()
    assert not is_current(engine, wanted)


def drop_batch(text: str) -> str:
    content = json.loads(text)
    del content["batch"]
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:40], "broken JSON"),
        (lambda text: "[]", "schema_version is None"),
        (drop_batch, "the field batch is missing: build the engine again"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2', 1), "schema_version is 2, this"),
        (lambda text: text.replace('"precision": "int8"', '"precision": "int4"'), "metadata.precision: expected fp32"),
        (lambda text: text.replace('"source": "', '"source": "../'), "leads out of the folder"),
        (lambda text: text.replace('"source": "', '"source": "a/'), "expected a file beside it"),
    ],
)
def test_a_bad_sidecar_is_one_line(engine: Path, change: Callable[[str], str], message: str) -> None:
    path = sidecar_path(engine)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_sidecar(engine)


def test_no_sidecar(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.engine has no sidecar x\.engine\.json: build it again with `tinydet"):
        read_sidecar(tmp_path / "x.engine")


def test_the_timing_cache_belongs_to_the_surroundings() -> None:
    assert HERE.slug == "tensorrt-10.3.0-orin-8.7-16-maxn"
    assert replace(HERE, power_mode=NOT_AVAILABLE).slug.endswith("-not-available")
