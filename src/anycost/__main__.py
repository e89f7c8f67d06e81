"""`python -m anycost` is `anycost`."""

import sys

from anycost.commands import main

sys.exit(main())
