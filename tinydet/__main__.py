"""`python -m tinydet`: the command line."""

from __future__ import annotations

import sys

from tinydet.edge.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
