"""Tab in a shell: commands, options, and the ids of a person's media; never an error in the middle of a line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_samples import ID, media

from drishtiksha_cli.completion import media_ids


def tab(shell: str, line: str) -> str:
    """What the completion script of a shell asks for."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_DRISHTIKSHA_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    code = "import sys; sys.argv = ['drishtiksha']\nfrom drishtiksha_cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_ids(logged_in: Any, shell: str) -> None:
    logged_in.answers["GET /media"] = [(200, [media(), media(id="ffff")])]
    assert "rerun" in tab(shell, "drishtiksha re")
    assert ID in tab(shell, "drishtiksha show 01a")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_can_be_shown_and_installed(shell: str, tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['drishtiksha', '--show-completion', {!r}]\nfrom drishtiksha_cli.main import main; main()"
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code.format(shell)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "_DRISHTIKSHA_COMPLETE" in done.stdout
    install = code.replace("--show", "--install").format(shell)
    subprocess.run([sys.executable, "-c", install], env=environment, capture_output=True, timeout=60, check=True)
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_DRISHTIKSHA_COMPLETE" in text for text in written)


def test_ids_are_offered_with_what_they_are_and_by_their_beginning(logged_in: Any) -> None:
    logged_in.answers["GET /media"] = [(200, [media(), media("QUEUED", id="ffff")])]
    assert media_ids("") == [(ID, "clip.mp4, analyzed"), ("ffff", "clip.mp4, queued")]
    assert media_ids("ff") == [("ffff", "clip.mp4, queued")]


def test_where_nobody_is_logged_in_or_nobody_answers_nothing_is_offered(api: Any, logged_in: Any) -> None:
    logged_in.answers["GET /media"] = [(401, {"code": "TOKEN_EXPIRED", "message": "Invalid token"})]
    assert media_ids("") == []
    logged_in.close()
    assert media_ids("") == []
