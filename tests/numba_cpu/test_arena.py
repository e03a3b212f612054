"""Memory that is used again: never while anyone can still see it, and not more of it than is allowed."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tapegrad.backends.numba_cpu import arena
from tapegrad.backends.numba_cpu.arena import Arena, size_class, take
from tests.numba_cpu.kept import address

MIB = 1 << 20


# ---- what is handed out ----
@given(
    shape=st.lists(st.integers(0, 20), max_size=2).map(tuple),
    dtype=st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.uint8, "float32", np.dtype("int32")]),
    factor=st.sampled_from([1, 1000, 3000]),
)
def test_arrays_are_what_was_asked_for(shape, dtype, factor):
    shape = (*shape, factor)
    found = take(shape, dtype)
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    assert type(found) is np.ndarray
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert found.flags.aligned
    assert found.nbytes < arena.SMALL or address(found) % 64 == 0
    found.fill(1)
    assert found.all()


def test_numba_takes_them_for_ordinary_arrays(store):
    import numba

    assert numba.typeof(take((100_000,), np.float32)) == numba.typeof(np.empty(1, np.float32))


def test_arrays_of_objects_do_not_get_used_memory(store):
    take((MIB,), np.uint8).fill(7)
    assert take((MIB // 8,), object)[0] is None


@given(size=st.integers(1, 1 << 40))
def test_a_block_is_at_most_a_quarter_larger(size):
    assert size <= size_class(size) <= size + max(size // 4, 1)
    assert size_class(size_class(size)) == size_class(size)
    assert size_class(size) <= size_class(size + 1)


@given(st.lists(st.tuples(st.integers(0, 40_000), st.sampled_from([np.float32, np.float64, np.int8])), max_size=12))
def test_arrays_in_one_piece_of_memory_do_not_overlap(requests):
    store = Arena()
    found = store.take_all([((count,), dtype) for count, dtype in requests])
    for number, (array, (count, dtype)) in enumerate(zip(found, requests, strict=True)):
        assert (array.shape, array.dtype) == ((count,), np.dtype(dtype))
        assert address(array) % 64 == 0
        array.fill(number)
    for number, array in enumerate(found):
        assert (array == number).all()
    last = found[-1:]
    del found
    taken = store.take((MIB,), np.uint8)
    taken.fill(0xFF)
    assert all((array == len(requests) - 1).all() for array in last), "one of them keeps the memory of all"


def test_buffers_begin_at_different_places_of_a_page(store):
    places = {address(array) % 4096 for array in [take((256, 1024), np.float32) for _ in range(48)]}
    assert len(places) == 48
    places = {address(array) % 4096 for array in arena.take_all([((8, 1024), np.float32)] * 48)}
    assert len(places) == 48


# ---- when memory is used again ----
def test_memory_comes_back_when_the_array_dies(store):
    first = take((300, 300), np.float64)
    place = address(first)
    second = take((300, 300), np.float64)
    assert address(second) != place
    del first
    third = take((90_001,), np.float64)  # another shape of the same class
    assert address(third) == place
    assert store.made == 2


def test_the_block_that_came_back_last_is_used_first(store):
    arrays = [take((MIB,), np.uint8) for _ in range(3)]
    places = [address(array) for array in arrays]
    while arrays:
        arrays.pop(0)
    assert [address(array) for array in [take((MIB,), np.uint8) for _ in range(3)]] == places[::-1]


VIEWS = {
    "a slice": lambda a: a[10:],
    "a view of a view": lambda a: a[10:][::2].T,
    "a reshaped view of a view": lambda a: a.T.reshape(-1, order="F")[5:].reshape(-1, 1),
    "another dtype": lambda a: a.view(np.int64)[3:].view(np.float64),
    "a subclass": lambda a: a.view(np.recarray)[5:],
    "a view of a subclass": lambda a: np.asarray(a.view(np.matrix)[5:])[1:],
    "asarray": lambda a: np.asarray(a[1:]),
    "a broadcast": lambda a: np.broadcast_to(a[0], (3, *a[0].shape)),
    "a window": lambda a: np.lib.stride_tricks.sliding_window_view(a, 5, 0),
    "a memoryview": lambda a: memoryview(a)[10:],
    "another library's array": lambda a: np.from_dlpack(a[2:]),
    "an element's view": lambda a: a[3:4, 5:6],
    "a buffer": lambda a: np.frombuffer(a, np.uint8)[8:],
    "a diagonal": lambda a: a.diagonal(),
    "a read-only view": lambda a: np.lib.stride_tricks.as_strided(a, (5, 5), (8, 8), writeable=False),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_memory_does_not_come_back_while_someone_sees_it(store, kind):
    array = take((200, 200), np.float64)
    array.fill(3.0)
    view = VIEWS[kind](array)
    before = np.array(view)
    del array
    gc.collect()
    others = [take((200, 200), np.float64) for _ in range(3)]
    for other in others:
        other.fill(9.0)
    np.testing.assert_array_equal(np.array(view), before)
    assert store.kept == 0
    del view
    gc.collect()
    store.take_all([])
    store._settle()
    assert store.kept == size_class(200 * 200 * 8)


class Life(RuleBasedStateMachine):
    """Arrays, views of views and cycles come and go: each array that lives keeps what was written to it."""

    def __init__(self):
        super().__init__()
        self.store = Arena()
        self.number = 0
        self.alive = []

    def _born(self, array):
        self.number += 1
        array.fill(self.number)
        self.alive.append((array, self.number))

    @rule(kib=st.integers(60, 130))
    def take(self, kib):
        self._born(self.store.take((kib, 256), np.float32))

    @rule(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def take_all(self, sizes):
        for array in self.store.take_all([((kib, 256), np.float32) for kib in sizes]):
            self._born(array)

    @rule(data=st.data(), step=st.integers(1, 3), first=st.integers(0, 5))
    def replace_by_a_view(self, data, step, first):
        if self.alive:
            k = data.draw(st.integers(0, len(self.alive) - 1))
            array, number = self.alive[k]
            self.alive[k] = array[first::step].T, number

    @rule(data=st.data())
    def drop(self, data):
        if self.alive:
            self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))

    @rule(data=st.data())
    def drop_in_a_cycle(self, data):
        if self.alive:
            ring = [self.alive.pop(data.draw(st.integers(0, len(self.alive) - 1)))]
            ring.append(ring)

    @rule()
    def collect(self):
        gc.collect(1)  # young objects, which these are

    @rule()
    def release(self):
        self.store.release()
        assert self.store.kept == 0

    @invariant()
    def nobody_wrote_to_what_others_see(self):
        for array, number in self.alive:
            assert (array == number).all()

    @invariant()
    def the_books_are_right(self):
        self.store._settle()
        assert self.store.kept == sum(block.size for block in self.store.free.values())
        assert sum(map(len, self.store.classes.values())) == len(self.store.free)


TestLife = Life.TestCase
TestLife.settings = settings(stateful_step_count=25, deadline=None)
