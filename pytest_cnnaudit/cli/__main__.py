"""`python -m pytest_cnnaudit.cli`.

PYTEST_DONT_REWRITE
"""

import sys

from pytest_cnnaudit.cli.command import main

sys.exit(main())
