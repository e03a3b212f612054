"""``python -m tapegrad`` is the program ``tapegrad``."""

import sys

from .cli import main

sys.exit(main())
