"""Commands of the workstation that make artifacts."""
