"""`python -m abcparam`."""

import sys

try:
    from abcparam.commands.cli import main

    sys.exit(main())
except KeyboardInterrupt:  # before `main` could say so
    sys.exit(130)
