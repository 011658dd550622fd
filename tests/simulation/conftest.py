"""The simulation is imported as `tests.simulation`, here as on the command line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
