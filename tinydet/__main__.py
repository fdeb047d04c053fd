"""`python -m tinydet`: the command line, as `tinydet`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # `python -m` looks for modules in the current folder first: a statistics.py of the user's would replace Python's.
    if sys.path[0] == os.getcwd():  # noqa: PTH109  # pathlib is such a module
        del sys.path[0]

    from tinydet.edge.commands.cli import main

    sys.exit(main())
