"""Files of weights that are torn, pickled or no such file are refused, and nothing is changed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from parity import load_weights
from parity.cases.case import Case
from parity_tests.helpers.refusals import refused
from parity_tests.meta.weights import SMALL, fresh, held, same_bits

WEIGHTS = Case(config=SMALL, seed=1).variables()


class Unpickled:
    """Says so when it is unpickled."""

    seen = False

    def __reduce__(self):
        return setattr, (Unpickled, "seen", True)


def refuses(path, *named: str) -> None:
    module = fresh("leaf")
    before = held(module)
    refused(lambda: load_weights(module, path), ValueError, path.name, *named)
    assert same_bits(held(module), before)


def test_pickled_array(tmp_path):
    weights = {**WEIGHTS, "PCEN/alpha": np.array([Unpickled()] * 3, dtype=object)}
    np.savez(tmp_path / "w.npz", **weights)
    refuses(tmp_path / "w.npz", "pickled")
    assert not Unpickled.seen


def test_pickle_in_place_of_a_file(tmp_path):
    (tmp_path / "w.npz").write_bytes(pickle.dumps(WEIGHTS))
    refuses(tmp_path / "w.npz", ".npz")


def test_bare_array_in_place_of_a_file(tmp_path):
    np.save(tmp_path / "w.npy", np.ones(3))
    (tmp_path / "w.npy").rename(tmp_path / "w.npz")
    refuses(tmp_path / "w.npz", ".npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_torn_anywhere(save, tmp_path):
    path = tmp_path / "w.npz"
    save(path, **WEIGHTS)
    whole = path.read_bytes()
    for end in range(0, len(whole), 97):
        path.write_bytes(whole[:end])
        refuses(path, ".npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bits_are_refused_or_harmless(save, tmp_path):
    path = tmp_path / "w.npz"
    save(path, **WEIGHTS)
    whole = path.read_bytes()
    intact = fresh("leaf")
    load_weights(intact, WEIGHTS)
    n_refused = 0
    for at in range(0, len(whole), 13):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        module = fresh("leaf")
        try:
            load_weights(module, path)
        except ValueError:
            n_refused += 1
        else:  # a date, an attribute or the like
            assert same_bits(held(module), held(intact))
    assert n_refused > len(whole) / 13 / 2


def test_no_such_file(tmp_path):
    refuses(tmp_path / "gone.npz", "no such file")


def test_folder(tmp_path):
    (tmp_path / "w.npz").mkdir()
    refuses(tmp_path / "w.npz", ".npz")


def test_array_file_in_place_of_a_state_dict(tmp_path):
    np.savez(tmp_path / "w", **WEIGHTS)
    (tmp_path / "w.npz").rename(tmp_path / "w.pt")
    refuses(tmp_path / "w.pt", "state dict")


@pytest.mark.parametrize("name", ["w.pkl", "w.npy", "w", "model.ckpt"])
def test_another_suffix(name, tmp_path):
    np.savez(tmp_path / "w.npz", **WEIGHTS)
    (tmp_path / "w.npz").rename(tmp_path / name)
    refuses(tmp_path / name, ".npz")
