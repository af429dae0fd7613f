"""`python -m tagent_tui` is `tagent-tui`."""

import sys

from tagent_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
