"""The address of a pod: one of 127.64.0.0/16, its own on this machine, also beside other nodes and platforms."""

from __future__ import annotations

import hashlib
import socket

_MARK = 64127
"""The UDP port that is held on a pod's address as the sign that it is taken: above those that the kernel hands out."""


class NoAddressLeft(Exception):
    """All addresses are taken."""


class Address:
    """Holds one address until it is released. The kernel frees it when the node dies, however it dies."""

    def __init__(self, uid: str) -> None:
        """Take the first free address from a start that depends on the pod. Raises NoAddressLeft."""
        start = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:2], "big")
        for step in range(1 << 16):
            low = (start + step) & 0xFFFF
            if low in (0, 0xFFFF):
                continue
            self.text = f"127.64.{low >> 8}.{low & 0xFF}"
            self._mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._mark.bind((self.text, _MARK))
            except OSError:
                self._mark.close()
                continue
            return
        raise NoAddressLeft("all addresses of 127.64.0.0/16 are taken or cannot be bound")

    def release(self) -> None:
        """Give it back."""
        self._mark.close()
