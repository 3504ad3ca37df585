"""The upload benchmark: what large files, many at once, plain reads and many sockets cost one api process.

`stage` starts an api of its own; `files` sends large files, `reads` asks without a login, `sockets` listens; `targets`
judges, `report` tells it, `run` does what its words say. The api process of the tests stands in tests/support, which is put on the path here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
