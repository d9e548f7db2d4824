# SPDX-License-Identifier: Apache-2.0
"""One pass over items for several consumers."""

from __future__ import annotations

import itertools
import threading
import time

import pytest

from synthkit.sharing import shared


def test_each_consumer_sees_all_items_and_they_are_made_once():
    made = []
    items = (made.append(n) or n for n in range(100))
    assert shared(items, [list, sum, lambda items: [n * n for n in items]]) == [
        list(range(100)), sum(range(100)), [n * n for n in range(100)],
    ]  # fmt: skip
    assert made == list(range(100))
    assert shared(iter("abc"), [list]) == [["a", "b", "c"]]
    assert shared(iter(()), [list, len_of]) == [[], 0]


def len_of(items):
    return sum(1 for _ in items)


def test_consumers_may_stop_early_and_then_no_more_is_read():
    numbers = itertools.count()
    assert shared(numbers, [next, lambda items: list(itertools.islice(items, 3))]) == [0, [0, 1, 2]]
    assert next(numbers) < 50


def test_only_one_works_at_a_time():
    working = []

    def consumer(items):
        for _ in items:
            working.append(1)
            assert len(working) == 1
            time.sleep(0.001)
            working.pop()

    shared(range(20), [consumer] * 3)


class BrokenError(Exception):
    pass


def test_errors_of_consumers_and_items_end_everything():
    seen = []

    def broken(items):
        next(items)
        raise BrokenError("consumer")

    def good(items):
        for item in items:
            seen.append(item)

    def endless():
        yield from itertools.count()

    def failing():
        yield 1
        raise BrokenError("items")

    before = threading.active_count()
    with pytest.raises(BrokenError, match="consumer"):
        shared(endless(), [good, broken])
    with pytest.raises(BrokenError, match="items"):
        shared(failing(), [good, good])
    with pytest.raises(BrokenError, match="consumer"):
        shared(iter([1]), [broken, good])
    assert threading.active_count() == before
