"""Calls that some release of TensorRT does not have: `verify.sh` must see them caught. Nothing imports this file."""

from __future__ import annotations

import tensorrt as trt


def planted(engine: trt.ICudaEngine, context: trt.IExecutionContext, config: trt.IBuilderConfig) -> None:
    """Wrong in every release checked: TensorRT 8's way to run; then wrong from TensorRT 11 on."""
    context.execute_async_v2([], 0)
    engine.get_binding_index("image")
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.INT8)
