"""Keeps a bounded number of things out of a stream of unknown length, evenly spread over it."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Spread(Generic[T]):
    """Holds fewer than twice `most` things at any time: when it is full, every other one goes, and so of all to come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._stride = 1
        self._kept: list[T] = []

    def wants(self, number: int) -> bool:
        """Whether the thing of this number, from 0, may still be among the last ones; others need not be made."""
        return number % self._stride == 0

    def add(self, thing: T) -> None:
        """Keep one that was wanted, in the order of their numbers; one that could not be made is not added."""
        self._kept.append(thing)
        if len(self._kept) >= 2 * self._most:
            self._kept = self._kept[::2]
            self._stride *= 2

    def all(self) -> list[T]:
        """At most `most` of what was kept, evenly spread."""
        count = len(self._kept)
        if count <= self._most:
            return list(self._kept)
        return [self._kept[index * count // self._most] for index in range(self._most)]
