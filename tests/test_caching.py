"""A cache that is bounded by bytes."""

from __future__ import annotations

from threading import Thread

from referent.caching import ByteBoundCache


def test_the_least_recently_used_values_make_room() -> None:
    cache: ByteBoundCache[str] = ByteBoundCache(10)
    cache.put("a", "first", 4)
    cache.put("b", "second", 4)
    assert cache.get("a") == "first"
    cache.put("c", "third", 5)
    assert [cache.get(key) for key in "abc"] == ["first", None, "third"]
    cache.put("a", "too large", 11)
    assert [cache.get(key) for key in "abc"] == [None, None, "third"]
    assert cache.held == 5


class Key:
    """Has another thread at work when a dictionary looks for it the second time."""

    def __init__(self, other: Thread) -> None:
        self.other, self.looks = other, 0

    def __hash__(self) -> int:
        self.looks += 1
        if self.looks == 2:
            self.other.start()
            self.other.join(timeout=0.2)
        return 1


def test_a_value_that_another_thread_drops_meanwhile_is_still_given() -> None:
    cache: ByteBoundCache[str] = ByteBoundCache(1)
    other = Thread(target=cache.put, args=("other", "new", 1))
    key = Key(other)
    key.looks = 2  # not yet
    cache.put(key, "old", 1)
    key.looks = 0
    assert cache.get(key) == "old"
    other.join()
    assert (cache.get("other"), cache.get(key), cache.held) == ("new", None, 1)
