"""The libraries compute what this project does, where they are installed."""

import importlib.util

import numpy as np
import pytest

from tapegrad.benchmarks.catalogue import CELLS
from tapegrad.benchmarks.contenders import PEERS, chosen_peers, peer_contenders
from tapegrad.benchmarks.work import Results, Shape, Work, deviation
from tapegrad.errors import OptionError

#: The cells that a peer does not know.
LAYERS = {"torch": {"lstm", "gru_after", "elman"}, "mygrad": {"gru"}}


def made(peer, name, shape, dtype, with_inputs=False):
    if importlib.util.find_spec(PEERS[peer].package) is None:
        pytest.skip(f"{PEERS[peer].package} is not installed")
    entry = CELLS[name]
    work = Work.draw(name, entry.build(shape), shape, dtype, with_inputs)
    return work, peer_contenders(work, entry.recipe, entry.layer, peer, 1)


@pytest.mark.filterwarnings("ignore")  # what other libraries warn of is not this project's to mend
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-10)])
def test_a_peer_computes_the_same(peer, name, dtype, tolerance):
    seed = sum(map(ord, peer + name + dtype))
    shape = Shape(*np.random.default_rng(seed).integers([2, 1, 1, 2], 9).tolist())
    with_inputs = bool(seed % 2)
    work, contenders = made(peer, name, shape, dtype, with_inputs)
    assert bool(contenders) == (name in LAYERS.get(peer, CELLS))
    expected = work.truth()
    for contender in contenders:
        for _ in range(2):  # a second call does not depend on the first
            found = contender.read_both(contender.both())
            assert set(found.gradients) == set(expected.gradients)
            assert max(deviation(found, expected).values()) < tolerance, contender.name
            assert found.ys[0].dtype == dtype
            ys = Results(contender.read_forward(contender.forward()), {})
            assert deviation(ys, expected._replace(gradients={}))["ys"] < tolerance


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", PEERS)
def test_gradients_of_inputs_on_request(peer):
    name = min(LAYERS.get(peer, CELLS))
    for with_inputs in (False, True):
        work, contenders = made(peer, name, Shape(4, 3, 2, 5), "float64", with_inputs)
        for contender in contenders:
            found = contender.read_both(contender.both())
            assert ("xs" in found.gradients) == with_inputs
            assert max(deviation(found, work.truth()).values()) < 1e-10


def test_choice():
    assert chosen_peers("none") == []
    installed = [name for name, peer in PEERS.items() if importlib.util.find_spec(peer.package)]
    assert chosen_peers("all") == installed
    with pytest.raises(OptionError, match="unknown; choose from torch"):
        chosen_peers("theano")


def test_a_peer_that_is_not_installed_is_asked_for_in_vain(monkeypatch):
    monkeypatch.setattr("tapegrad.benchmarks.contenders.find_spec", lambda name: None)
    assert chosen_peers("all") == []
    with pytest.raises(OptionError, match=r"package jax is not installed; pip install"):
        chosen_peers("jax")
