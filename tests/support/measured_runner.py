"""The runner, and then, as the last line of its log, the memory that it held at its highest moment: `measured KIB`.

In the place of the runner's own command (a profile's overlay) where a test asks how much it took.
"""

from __future__ import annotations

import resource
import subprocess
import sys

if __name__ == "__main__":
    code = subprocess.call([sys.executable, "-m", "drishtiksha_jobrunner.main"])
    print("measured", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
    sys.exit(code)
