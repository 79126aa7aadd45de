"""`python -m fastness.tool`: the command where no script is installed."""

import sys

from fastness.tool.cli import main

sys.exit(main())
