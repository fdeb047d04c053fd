"""One file per runtime, each imported inside its own file; the base class is in `runtime`, opening in `opening`."""
