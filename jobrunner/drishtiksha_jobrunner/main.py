"""`python -m drishtiksha_jobrunner.main`: one attempt, then an exit code.

0 handed in · 65 BAD_MEDIA · 69 ML_UNAVAILABLE · 70 INTERNAL · 76 ML_CONTRACT · 77 fenced · 143 SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from types import FrameType

EXIT_TERMINATED = 143


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_TERMINATED)


async def _until_terminated() -> int:
    """Run the attempt; SIGTERM cancels it, and its own endings clean up after it."""
    from . import environment
    from .run import run

    story = asyncio.ensure_future(run(environment.read(os.environ)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, story.cancel)
    try:
        return await story
    except asyncio.CancelledError:
        return EXIT_TERMINATED


def main() -> None:
    """Entry point of the pod's container."""
    # As process 1 of a container the default action for SIGTERM is to ignore it, also while we are still importing.
    signal.signal(signal.SIGTERM, _leave)

    import logging

    from drishtiksha.domain.errors import EXIT_CODES, BadSettings, ErrorClass

    from .journal import Redactor, configure

    configure(Redactor((os.environ.get("DRISHTIKSHA_ATTEMPT_TOKEN", ""), os.environ.get("SERVER_API_KEY", ""))))
    try:
        code = asyncio.run(_until_terminated())
    except BadSettings as error:
        logging.getLogger("drishtiksha.jobrunner").error(str(error))
        code = EXIT_CODES[ErrorClass.INTERNAL]
    except Exception:
        logging.getLogger("drishtiksha.jobrunner").exception("the runner failed")
        code = EXIT_CODES[ErrorClass.INTERNAL]
    if code == EXIT_TERMINATED:
        logging.getLogger("drishtiksha.jobrunner").info("terminated, nothing was handed in")
    sys.exit(code)


if __name__ == "__main__":
    main()
