"""The profiler: measures time, memory, power, heat and accuracy of artifacts on a board."""
