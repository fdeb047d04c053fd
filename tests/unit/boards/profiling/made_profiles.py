"""Content of profile files, without measuring."""

from __future__ import annotations

from typing import Any

import numpy as np

PROTOCOL = {
    "frames": "noise",
    "data": "data",
    "images": 2,
    "seconds_per_artifact": 1.0,
    "rounds_interleaved": 5,
    "sustained": False,
    "threads": 1,
    "telemetry_interval_s": 1.0,
    "warm_up": "until steady",
    "timed": "all",
}


def artifact(
    name: str = "a.onnx", *, infer_ms: float = 10.0, ap: float | None = 0.3, power_w: float | None = None, seed: int = 0
) -> dict[str, Any]:
    """Five turns of 100 frames whose inference takes `infer_ms`, with 2 % of noise between turns and between frames."""
    random = np.random.default_rng(seed)
    memory = {"before_load": 50.0, "steady": 90.0, "peak": 100.0}
    turns = []
    for index in range(5):
        times = infer_ms * (1 + 0.02 * random.normal() + 0.02 * random.normal(size=100))
        turns.append(
            {
                "load_ms": 5.0,
                "first_result_ms": 20.0,
                "warm_up_frames": 10,
                "warm_up_s": 0.1,
                "steady": True,
                "start_s": index * 2.0,
                "end_s": index * 2.0 + 1,
                "pre_ms": [0.5] * 100,
                "infer_ms": times.tolist(),
                "post_ms": [0.25] * 100,
                "objects": 100,
                "memory_mib": memory,
            }
        )
    stage = {"p50_ms": infer_ms, "p90_ms": infer_ms, "p95_ms": infer_ms, "p99_ms": infer_ms}
    metrics = dict.fromkeys(("AP", "AP50", "AP75", "APvt", "APt", "APs", "APm"), ap)
    sensors = {"first_temperature_c": None, "max_temperature_c": None, "throttling_events": None}
    return {
        "artifact": name,
        "model": "n",
        "precision": "fp32",
        "input_hw": [64, 64],
        "size_bytes": 1000,
        "runtime": "onnxruntime 1",
        "device": "CPU",
        "provider": "CPUExecutionProvider",
        "frame_count": 500,
        "objects_per_frame": 1.0,
        "stages": dict.fromkeys(("pre", "infer", "post", "total"), stage),
        "frames_per_s": 1000 / infer_ms,
        "load_ms": 5.0,
        "first_result_ms": 20.0,
        "memory_mib": memory,
        "steady": True,
        "sensors": {"power_w": power_w, "joules_per_frame": None, **sensors},
        "heat": None,
        "accuracy": None if ap is None else {**metrics, "per_class": {"car": metrics}},
        "turns": turns,
    }


def profile(*artifacts: dict[str, Any]) -> dict[str, Any]:
    """A profile of these artifacts."""
    sample = dict.fromkeys(
        ("power_w", "temperature_c", "clock_mhz", "gpu_clock_mhz", "cpu_load_percent", "memory_used_mib", "throttled")
    )
    return {
        "schema_version": 1,
        "machine": {"name": "Board <1>", "cores": 2, "architecture": "x86_64", "system": "Linux"},
        "power_mode": None,
        "complete": True,
        "protocol": dict(PROTOCOL),
        "artifacts": list(artifacts),
        "timeline": [{"time_s": float(second), **sample} for second in range(10)],
        "throttling_events": None,
        "not_available": ["power"],
    }
