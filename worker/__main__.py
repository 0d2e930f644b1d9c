"""`python -m worker`: what `pillarbox worker` becomes."""

import sys

from worker.main import main

sys.exit(main())
