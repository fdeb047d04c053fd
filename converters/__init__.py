"""Turns a checkpoint into artifacts that runtimes on boards load: one file per target."""
