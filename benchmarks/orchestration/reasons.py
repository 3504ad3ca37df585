"""Why a target is missed, for the page, shown only while it is missed; and what earlier figures led to."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "makespan-raised": (
        "both cores are busy through every round, so the makespan is CPU time, and the ratio depends on how little the work"
        " itself is: these models answer at once. An analysis costs about 0.45 CPU seconds for its runner and 0.1 for the"
        " control plane on both sides; the platform adds about 0.2. *reruns* is the orchestration alone and was held up by"
        " 12 CPU seconds of other work, its neighbours by 3 (column Others)."
    ),
    "rss-operator": (
        "measured with packages for terminals installed beside it, which structlog and httpx load where they find them; the"
        " operator leaves them out since then (3 MiB), and an image of its own does not hold them."
    ),
}

MENDED = """\
- A run is read by one statement, an attempt with all above it is locked by one, and the Jobs of a run are noted in one
  transaction: the door makes 97 statements per run instead of 139, the operator 94 instead of 163.
- Events about one run within half a second are one look: 6 looks per run of a burst instead of 11.
- The api does not load Socket.IO's client, and a password hash takes 12 MiB with three passes instead of 19 MiB with two:
  140 MiB at most instead of 157.
"""
"""Before and after, from this benchmark."""
