"""`python -m abcparam`."""

import sys

from abcparam.cli import main

sys.exit(main())
