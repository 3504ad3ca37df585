"""The child that meets hostile bytes can reach nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMITED = """
import socket, sys
from drishtiksha_api.intake import child
child._leave_network()
child._limit()
{attack}
"""


def attempt(attack: str) -> int:
    source = LIMITED.format(attack=attack)
    done = subprocess.run(
        [sys.executable, "-c", source], check=False, capture_output=True, timeout=60, stdin=subprocess.DEVNULL
    )
    return done.returncode


def test_the_harness_itself_can_succeed() -> None:
    assert attempt("sys.stdout.write('fine')") == 0


@pytest.mark.parametrize(
    "attack",
    [
        "open('/etc/hostname')",
        "socket.socket()",
        "import os; os.pipe()",
        "bytearray(3 * 1024**3)",
    ],
)
def test_the_child_can_open_no_file_no_socket_and_little_memory(attack: str) -> None:
    assert attempt(attack) != 0


def test_the_child_cannot_write_to_a_file_it_inherits(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        source = LIMITED.format(attack="import os; os.write(1, b'x' * 100)")
        done = subprocess.run(
            [sys.executable, "-c", source], check=False, stdout=out, stderr=subprocess.DEVNULL, timeout=60
        )
    assert done.returncode != 0
    assert os.stat(tmp_path / "out").st_size == 0
