"""Opens models with this checkout and another one, in turns: `python -m tests.benchmarks.opening OTHER MODEL...`.

Prints medians of wall and CPU time of `open_runtime` in this checkout and how they differ from the other one's. Each
checkout has one process, which opens and closes a model when asked to; the first opening of each is not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

ROUNDS = 25
OPENER = """
import json, sys, time
from tinydet.edge.runtimes.opening import open_runtime
for line in sys.stdin:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    runtime = open_runtime(line.strip())
    print(json.dumps([time.perf_counter() - wall_s, time.process_time() - cpu_s]), flush=True)
    runtime.close()
"""


def main() -> None:
    """Measure and print."""
    other, *models = sys.argv[1:]
    checkouts = {"before": Path(other), "after": Path.cwd()}
    for model in models:
        path = str(Path(model).resolve()) if Path(model).exists() else model
        openers = {name: _opener(folder) for name, folder in checkouts.items()}
        times: dict[str, list[list[float]]] = {name: [] for name in openers}
        for _ in range(ROUNDS + 1):
            for name, opener in openers.items():
                times[name].append(_open(opener, path))
        for opener in openers.values():
            opener.kill()
            opener.wait()
        before, after = ([median(column) for column in zip(*times[name][1:], strict=True)] for name in checkouts)
        print(  # noqa: T201
            f"{model}: wall {1e3 * after[0]:.1f} ms ({100 * (after[0] / before[0] - 1):+.1f} %), "
            f"CPU {1e3 * after[1]:.1f} ms ({100 * (after[1] / before[1] - 1):+.1f} %)"
        )


def _opener(checkout: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPENER],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _open(opener: subprocess.Popen[str], path: str) -> list[float]:
    assert opener.stdin is not None
    assert opener.stdout is not None
    opener.stdin.write(f"{path}\n")
    opener.stdin.flush()
    times: list[float] = json.loads(opener.stdout.readline())
    return times


if __name__ == "__main__":
    main()
