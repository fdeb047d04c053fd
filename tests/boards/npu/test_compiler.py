from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.models import write_spot_detector
from tests.paths import REPOSITORY
from tinydet.boards.npu.compiler import PLATFORMS, Compiled, NpuCompiler, RefusedError
from tinydet.boards.npu.verify import attempt_all, failures
from tinydet.edge.errors import InputError


@pytest.fixture(scope="module")
def compiler() -> NpuCompiler:
    try:
        return NpuCompiler(REPOSITORY / "build" / "npu")
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_an_open_image_size_is_refused(compiler: NpuCompiler, tmp_path: Path) -> None:
    model = onnx.load(write_spot_detector(tmp_path / "spots.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_param = f"height_{output.name}"
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(RefusedError, match="Missing upper bound"):
        compiler.compile(tmp_path / "open.onnx", tmp_path / "open.blob", platform="3720")
    assert not list(tmp_path.glob("*.blob"))


@pytest.mark.slow
def test_what_is_no_model_is_refused(compiler: NpuCompiler, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(RefusedError) as caught:
        compiler.compile(tmp_path / "broken.onnx", tmp_path / "broken.blob", platform="3720")
    assert "reading the model failed" in caught.value.messages


def test_a_folder_without_the_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/true")
    with pytest.raises(InputError, match=r"no NPU compiler in .*verify-npu"):
        NpuCompiler(tmp_path)


@pytest.mark.slow
def test_a_detector_compiles_for_every_npu(compiler: NpuCompiler, tmp_path: Path) -> None:
    """The spot detector leaves its batch open, as all our ONNX artifacts do."""
    model = write_spot_detector(tmp_path / "spots.onnx")
    attempts = attempt_all(compiler, {"fp16": model}, tmp_path)
    assert [attempt.platform for attempt in attempts] == list(PLATFORMS)
    assert failures(attempts) == []
    for attempt in attempts:
        assert isinstance(attempt.outcome, Compiled)
        blob = tmp_path / f"spots-{attempt.platform}.blob"
        assert attempt.outcome.blob_bytes == blob.stat().st_size > 1000
    assert len({(tmp_path / f"spots-{platform}.blob").read_bytes() for platform in PLATFORMS}) == len(PLATFORMS)
