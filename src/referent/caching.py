"""A cache that is bounded by bytes, not by entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class ByteBoundCache(Generic[Value]):
    """The most recently used values that fit into `limit` bytes together; several threads may share it.

    Args:
        limit: bytes; a value larger than that is not kept at all, so 0 turns the cache off.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> Value | None:
        """The value, now the most recent one, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keeps `value` of `size` bytes, dropping the least recently used ones as needed."""
        with self._lock:
            if key in self._entries:
                self.held -= self._entries.pop(key)[1]
            if size > self.limit:
                return
            self._entries[key] = (value, size)
            self.held += size
            while self.held > self.limit:
                _, (_, dropped) = self._entries.popitem(last=False)
                self.held -= dropped
