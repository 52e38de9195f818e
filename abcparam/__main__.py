"""`python -m abcparam`."""

import sys

from abcparam.commands.cli import main

sys.exit(main())
