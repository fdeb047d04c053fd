"""How threads hand frames on: a queue with a bound, which either waits or forgets what is old."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ClosedError(Exception):
    """The channel was closed, and everything in it was taken."""


class Channel(Generic[T]):
    """At most `capacity` items between threads. A full one makes `put` wait, or drops its oldest if `latest_first`."""

    def __init__(self, capacity: int, *, latest_first: bool = False) -> None:
        self.dropped = 0
        """Items that were put and never taken."""
        self._capacity = capacity
        self._latest_first = latest_first
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """False if the channel is closed: nobody will take the item."""
        with self._changed:
            while not self._is_closed and not self._latest_first and len(self._items) >= self._capacity:
                self._changed.wait()
            if self._is_closed:
                return False
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float | None = None) -> T:
        """The oldest item, waited for.

        Raises:
            TimeoutError: none came in time.
            ClosedError: none will come; or the error that the channel was closed with.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._is_closed, timeout_s):
                raise TimeoutError
            if not self._items:
                raise self._error or ClosedError
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __enter__(self) -> Channel[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Close when the thread that puts is done, or failed: its error goes to the thread that takes."""
        self.close(error)
        return True

    def __iter__(self) -> Iterator[T]:
        """Items until it is closed."""
        while True:
            try:
                item = self.get()
            except ClosedError:
                return
            yield item

    def close(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """Take nothing more; what is inside can still be taken unless it is discarded. `error` is raised at its end."""
        with self._changed:
            if discard:
                self.dropped += len(self._items)
                self._items.clear()
            if not self._is_closed:
                self._is_closed = True
                self._error = error
            self._changed.notify_all()
