"""A line of the log has an end, whatever a stranger put into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from drishtiksha import logs

PROGRAM = """
import logging, structlog
from drishtiksha import logs
logs.configure("api", readable={readable})
long = "x" * 1_000_000
log = structlog.get_logger()
log.info("one", path=long, seen={{"said": [long]}}, count=3)
log.warning(long)
logging.getLogger("foreign").warning("two %s", long, extra={{"said": long}})
"""
FAILING = """
try:
    raise ValueError(long)
except ValueError:
    log.exception("three")
"""


def lines(program: str, *, readable: bool) -> list[str]:
    """What a process of ours says when everything that it says is a million characters long."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DRISHTIKSHA_")}
    program = program.format(readable=readable)
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr.splitlines()


def test_a_line_stays_short_and_says_how_much_was_left_out() -> None:
    said = lines(PROGRAM + FAILING, readable=False)
    assert len(said) == 4
    assert all(len(line) < logs.MAX_EXCEPTION + 3 * logs.MAX_VALUE for line in said)
    one, two, foreign, three = (json.loads(line) for line in said)
    assert (one["event"], one["count"]) == ("one", 3)
    assert one["path"].startswith("xxx")
    assert one["path"].endswith("… (1000000 characters)")
    assert two["event"].endswith("… (1000000 characters)")
    assert foreign["event"].startswith("two xxx")
    assert three["event"] == "three"
    assert three["exception"].endswith("xxx")


def test_what_people_read_stays_short_too() -> None:
    first = lines(PROGRAM, readable=True)[0]
    assert "(1000000 characters)" in first
    assert len(first) < 3 * logs.MAX_VALUE


FORGING = """
import logging, structlog
from drishtiksha import logs
logs.configure("api", readable={readable})
said = "a\\n" + chr(0x1b) + "[31m" + chr(0x9b) + "b" + chr(0x2028) + chr(0x202e) + "c"
structlog.get_logger().warning(said, path=said)
logging.getLogger("foreign").warning("two %s", said)
try:
    raise ValueError(said)
except ValueError:
    structlog.get_logger().exception("three")
"""


def test_what_cannot_be_seen_is_shown_in_a_line() -> None:
    """In JSON every character that ends a line or moves a cursor; in what people read all but those of a traceback."""
    shown = "a\\u000a\\u001b[31m\\u009bb\\u2028\\u202ec"
    one, two, three = (json.loads(line) for line in lines(FORGING, readable=False))
    assert (one["event"], one["path"], two["event"]) == (shown, shown, f"two {shown}")
    assert three["exception"].endswith("\\u009bb\\u2028\\u202ec")
    read = lines(FORGING, readable=True)
    assert shown in read[0]
    assert shown in read[1]
