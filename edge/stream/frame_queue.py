"""`FrameQueue`: a bounded queue between threads, which either waits or drops the oldest frame."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ClosedError(Exception):
    """The queue was closed, and everything in it was taken."""


class FrameQueue(Generic[T]):
    """Holds up to `capacity` items. When it is full, `put` waits, or drops the oldest item if `latest_first`.

    As a context manager it is closed at the end of the block; an error of the block is raised where items are taken.
    """

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
        """Add an item. Returns False if the queue is closed and the item was not added."""
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
        """Wait for the oldest item, and take it.

        Raises:
            TimeoutError: no item came in time.
            ClosedError: no item will come. Or the error that the queue was closed with.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._is_closed, timeout_s):
                raise TimeoutError
            if not self._items:
                raise self._error or ClosedError
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __enter__(self) -> FrameQueue[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self.close(error)
        return True

    def __iter__(self) -> Iterator[T]:
        """Take items until the queue is closed and empty."""
        while True:
            try:
                item = self.get()
            except ClosedError:
                return
            yield item

    def close(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """Accept no more items. Those inside can still be taken, unless discarded; then `error`, if any, is raised."""
        with self._changed:
            if discard:
                self.dropped += len(self._items)
                self._items.clear()
            if not self._is_closed:
                self._is_closed = True
                self._error = error
            self._changed.notify_all()
