"""kubectl as `kubectl drishtiksha` uses it: whatever kubeconfig, context, login and namespace the person's kubectl has.

Going through the program itself keeps every way of logging in that kubectl knows. Reads are bounded in time.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from .errors import NOT_ANALYZED, REFUSED, UNREACHABLE, USAGE, CommandFailed

RESOURCE = "mediaanalyses.drishtiksha.io"
PATIENCE = 30
"""Seconds for one read or delete."""
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True)
class Kubectl:
    """One kubectl with the person's flags."""

    program: str
    flags: tuple[str, ...] = ()

    def words(self, *words: str) -> list[str]:
        """The whole command."""
        return [self.program, *words, *self.flags]

    def hand_over(self, *words: str) -> NoReturn:
        """Become kubectl: its output, its exit code."""
        os.execv(self.program, self.words(*words))  # noqa: S606  no shell stands between

    def read(self, *words: str) -> dict[str, Any]:
        """What `kubectl … -o json` says. Raises CommandFailed."""
        found: dict[str, Any] = json.loads(self.run(*words, "-o", "json"))
        return found

    def run(self, *words: str) -> str:
        """Standard output of a call that ends. Raises CommandFailed with kubectl's own sentence."""
        try:
            done = subprocess.run(
                self.words(*words, f"--request-timeout={PATIENCE // 2}s"),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"kubectl did not answer within {PATIENCE} s", UNREACHABLE) from None
        if done.returncode != 0:
            raise _failed(done.stderr)
        return done.stdout

    def follow(self, *words: str) -> Iterator[dict[str, Any]]:
        """Each state of an object that `kubectl get … --watch -o json` tells, until the caller has seen enough."""
        command = self.words(*words, "--watch", "-o", "json")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout is not None
            text, reader = "", json.JSONDecoder()
            try:
                for line in running.stdout:
                    text += line
                    if line.rstrip() == "}":
                        found, _ = reader.raw_decode(text.lstrip())
                        text = ""
                        yield found
            finally:
                running.terminate()

    def analysis(self, given: str) -> dict[str, Any]:
        """The MediaAnalysis of a name (`ma-…`, `ma/ma-…`), a run's id, or a media's id (then its latest run)."""
        name = given.rpartition("/")[2]
        bare = name.removeprefix("ma-").lower()
        if not _UUID.match(bare):
            raise CommandFailed(
                f"{given} is no id: give ma-…, a run's id or a media's; kubectl drishtiksha list", USAGE
            )
        try:
            return self.read("get", RESOURCE, f"ma-{bare}")
        except NotThere:
            if name.startswith("ma-"):
                raise
        found = self.read("get", RESOURCE, "-l", f"drishtiksha.io/media={bare}")["items"]
        if not found:
            raise NotThere(f"there is no MediaAnalysis of run or media {bare} here; kubectl drishtiksha list")
        return max(found, key=lambda one: int(one["metadata"]["labels"].get("drishtiksha.io/run-number", 0)))


class NotThere(CommandFailed):
    """kubectl says NotFound."""

    def __init__(self, message: str) -> None:
        super().__init__(message, REFUSED)


def find(namespace: str | None, context: str | None, kubeconfig: str | None) -> Kubectl:
    """The kubectl of PATH, else the one of this machine's platform. Raises CommandFailed."""
    given = (("--namespace", namespace), ("--context", context), ("--kubeconfig", kubeconfig))
    return Kubectl(_program(), tuple(f"{flag}={value}" for flag, value in given if value))


def _program() -> str:
    if found := shutil.which("kubectl"):
        return found
    from drishtiksha.domain.errors import DrishtikshaError
    from drishtiksha_devcluster import binary

    try:
        folder = binary.cache() / binary.module_hash(binary.source())
        if binary.is_whole(folder):
            return str(folder / "kubectl")
    except DrishtikshaError:
        pass
    raise CommandFailed("kubectl is not in PATH: install it, or have this machine's own made: drishtiksha up", USAGE)


def _failed(said: str) -> CommandFailed:
    """The last line is why it failed; those before it are warnings, of other APIs that are away, too."""
    sentence = (said.strip().splitlines() or ["kubectl failed and said nothing"])[-1]
    if "(NotFound)" in sentence:
        return NotThere(sentence)
    if "doesn't have a resource type" in sentence or "could not find the requested resource" in sentence:
        return CommandFailed(
            f"{sentence}. Is Drishtiksha installed in this cluster (crds/mediaanalyses.yaml)?", REFUSED
        )
    if "Forbidden" in sentence or "nauthorized" in sentence or "logged in" in sentence:
        return CommandFailed(sentence, REFUSED)
    away = ("refused", "Unable to connect", "no such host", "timeout", "deadline exceeded")
    return CommandFailed(sentence, UNREACHABLE if any(word in sentence for word in away) else NOT_ANALYZED)
