"""`python -m acegen`: the same as the command `acegen`."""

from __future__ import annotations

import sys

from acegen.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
