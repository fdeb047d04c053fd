"""One file per target: a checkpoint becomes the artifact that a runtime on a board loads."""
