"""What ends a command, and the exit code that says so."""

from __future__ import annotations

OK, NOT_ANALYZED, USAGE, NOT_LOGGED_IN, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

EXIT_CODES = """Exit codes: 0 fine · 1 not all is well: an analysis did not end ANALYZED, a check found something, a process does
not run · 2 wrong usage · 3 not logged in · 4 it cannot be reached · 5 the API refused · 130 interrupted (the analysis
goes on)"""


class CommandFailed(Exception):
    """A sentence for the person, and the exit code."""

    def __init__(self, message: str, code: int = NOT_ANALYZED) -> None:
        super().__init__(message)
        self.code = code


class Refused(CommandFailed):
    """The API answered with an error: its own code for machines, and its sentence."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message, NOT_LOGGED_IN if status == 401 else REFUSED)
        self.status, self.error = status, error


class Unreachable(CommandFailed):
    """Nobody answers there."""

    def __init__(self, base_url: str, why: str) -> None:
        super().__init__(
            f"The API at {base_url} cannot be reached ({why}). Is the platform up? Try: drishtiksha up, or --api URL.",
            UNREACHABLE,
        )
