"""`python -m fastlog` is the `fastlog` command."""

import sys

from fastlog.console.main import main

sys.exit(main())
