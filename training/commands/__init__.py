"""Commands of the workstation's training side."""
