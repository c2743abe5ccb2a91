"""Makes tests/helpers importable."""

import sys
from pathlib import Path

HELPERS = str(Path(__file__).resolve().parent.parent / "helpers")
if HELPERS not in sys.path:
    sys.path.append(HELPERS)
