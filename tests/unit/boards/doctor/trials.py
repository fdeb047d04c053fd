"""Results of runtime trials, as they came from machines of several kinds."""

from __future__ import annotations

from tinydet.boards.doctor.runtime_trial import RuntimeTrial

WORKS = RuntimeTrial(runtime="runtime 1.0", provider="CPU", images=9)
ABSENT = RuntimeTrial(installed=False, error="this needs a package")
BROKEN = RuntimeTrial(error="libcuda.so.1: cannot open shared object file")
