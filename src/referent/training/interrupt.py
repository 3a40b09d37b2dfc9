"""Ctrl-C and requests to end, turned into a question that the loop asks between steps."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

CAUGHT = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, the first SIGINT or SIGTERM sets `asked` and a second one raises KeyboardInterrupt.

    Only the main thread of a process can hear signals; anywhere else this changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._immediate = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in CAUGHT:
            try:
                self._before[number] = signal.signal(number, self._heard)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In here already the first signal raises KeyboardInterrupt: there is nothing to finish first."""
        self._immediate = True
        try:
            yield
        finally:
            self._immediate = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked or self._immediate:
            raise KeyboardInterrupt
        self.asked = True
