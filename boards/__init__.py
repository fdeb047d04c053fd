"""Known boards, their sensors and runtimes, and the profiler."""
