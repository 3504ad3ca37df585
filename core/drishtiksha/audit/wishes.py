"""Checks of the outbox: nothing that was wished for is forgotten, and nothing is wished for that is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from ..database.audit_facts import WishFacts
from . import catalogue as c
from .catalogue import Violation
from .limits import Limits


def of_outbox(wishes: Iterable[WishFacts], now: datetime, limits: Limits) -> Iterator[Violation]:
    """All rows of the outbox."""
    for wish in wishes:
        kind = "run" if wish.kind == "create" else "media"
        age = (now - wish.created_at).total_seconds()
        since = (now - wish.next_try_at).total_seconds()
        if wish.subject == "gone" and max(0.0, min(age, since if wish.rejected_at is None else age)) > limits.grace:
            text = f"The wish to {wish.kind} it is left, though it is gone."
            yield c.WISH_SUBJECT.broken(kind, wish.key, text)
        elif wish.rejected_at is not None:
            late = (now - wish.rejected_at).total_seconds()
            if wish.subject == "live" and late > limits.grace:
                text = (
                    f"The cluster refused its resource {late:.0f} s ago ({wish.last_error}), and it is not concluded."
                )
                yield c.WISH_REJECTED.broken(kind, wish.key, text)
        elif since > limits.wish_due:
            text = f"The wish to {wish.kind} it is due since {since:.0f} s, and nobody took it up."
            yield c.WISH_DUE.broken(kind, wish.key, text)
        elif wish.kind == "create" and age > limits.wish_age:
            text = f"The wish to create its resource is {age / 3600:.0f} hours old ({wish.last_error})."
            yield c.WISH_AGE.broken(kind, wish.key, text)
