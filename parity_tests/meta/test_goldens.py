"""Goldens say where they come from, and are refused by name when anything about them was changed."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import numpy as np
import pytest

from fixtures import cases, sources, store
from parity.cases.case import Case
from parity.criteria import OfMax
from parity_tests.helpers.refusals import refused
from parity_tests.rungs.test_goldens import expected

NAME = "silence"  # a small one
FILE, OUTPUT, UNREADABLE = f"{NAME}.npz", "array 'output'", "cannot be read"
REDRAWN = OfMax(2.0**-23, "sine and exponential may differ in their last float64 bit from processor to processor")


@pytest.fixture
def copy(tmp_path):
    """One golden and the manifest, to be spoiled."""
    for name in (FILE, store.MANIFEST):
        shutil.copy(store.GOLDENS / name, tmp_path)
    assert store.load(NAME, tmp_path).name == NAME
    return tmp_path


def refuses(directory, *named: str) -> None:
    refused(lambda: store.load(NAME, directory), store.GoldenError, str(directory), *named)


def with_output(change):
    """Members of the archive with another output."""

    def changed(members):
        member = io.BytesIO()
        np.lib.format.write_array(member, change(np.lib.format.read_array(io.BytesIO(members["output.npy"]))))
        return {**members, "output.npy": member.getvalue()}

    return changed


def one_bit(array: np.ndarray) -> np.ndarray:
    flipped = array.copy()
    flipped.view(np.uint32)[0, 1, 2] ^= 1
    return flipped


CHANGES = {
    "bit": (with_output(one_bit), OUTPUT, "content"),
    "shorter": (with_output(lambda a: a[:, :, :-1]), OUTPUT, "recorded", "(1, 4, 5)", "(1, 4, 4)"),
    "shape": (with_output(lambda a: a.reshape(4, -1)), OUTPUT, "(4, 5)", "(1, 4, 5)"),
    "dtype": (with_output(lambda a: a.astype(np.float64)), OUTPUT, "<f8", "<f4"),
    "byte order": (with_output(lambda a: a.astype(">f4")), OUTPUT, ">f4", "<f4"),
    "pickled": (with_output(lambda a: a.astype(object)), OUTPUT, UNREADABLE),
    "missing": (lambda m: {k: v for k, v in m.items() if k != "input.npy"}, "missing: ['input']"),
    "extra": (lambda m: {**m, "more.npy": m["input.npy"]}, "not expected: ['more']"),
    "torn": (lambda m: {**m, "output.npy": m["output.npy"][:-1]}, OUTPUT, UNREADABLE),
    "no array": (lambda m: {**m, "output.npy": b"numbers"}, OUTPUT, UNREADABLE),
    "rewritten": (lambda m: m, "SHA-256"),  # the same arrays in other bytes: written by something else
}


@pytest.mark.parametrize("kind", CHANGES)
def test_edited_array_is_refused(copy, kind):
    change, *named = CHANGES[kind]
    with zipfile.ZipFile(copy / FILE) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(copy / FILE, "w", zipfile.ZIP_DEFLATED) as file:  # so that its checksums are right
        for name, data in change(members).items():
            file.writestr(name, data)
    refuses(copy, FILE, *named)


@pytest.mark.parametrize(("change", "every"), [
    (lambda whole, at: whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :], 61),
    (lambda whole, at: whole[:at], 331),
], ids=["a bit is flipped", "cut"])  # fmt: skip
def test_damage_anywhere_is_refused(copy, change, every):
    whole = (copy / FILE).read_bytes()
    for at in range(0, len(whole), every):
        (copy / FILE).write_bytes(change(whole, at))
        refuses(copy, FILE)


@pytest.mark.parametrize("name", [FILE, store.MANIFEST])
def test_missing_file_is_refused(copy, name):
    (copy / name).unlink()
    refuses(copy, name, UNREADABLE)


def test_file_of_another_golden_is_refused(copy):
    shutil.copy(store.GOLDENS / "impulse_first.npz", copy / FILE)
    refuses(copy, FILE, "array ")


def test_edited_manifest_is_refused(copy):
    path = copy / store.MANIFEST
    text = path.read_text()
    manifest = json.loads(text)
    manifest["cases"][NAME]["arrays"]["output"]["sha256"] = "0" * 64
    for edited in (text.replace("b130481", "b130482"), text.replace("2.15.1", "2.21.0"), text[:-100], "[]", "",
                   json.dumps(manifest), text.replace('"sha256"', '"sha"')):  # fmt: skip
        path.write_text(edited)
        refuses(copy, store.MANIFEST)


def test_what_is_not_recorded_is_refused():
    refused(lambda: store.load("no_such"), store.GoldenError, "'no_such'", store.MANIFEST, "default")
    refused(lambda: store.load(store.names()[0]).group("stages"), KeyError, "prefix='stages'", "taps")


# what they hold


def test_manifest_says_that_the_source_is_the_unmodified_original():
    manifest = store.read_manifest()
    source = manifest["source"]
    assert source["label"] == "original"
    assert source["commit"].startswith("b130481")
    assert source["repository"].endswith("google-research/leaf-audio")
    assert manifest["versions"]["tensorflow"] == "2.15.1"
    assert source["files"] == sources.ORIGINAL_FILES
    assert all(len(digest) == 64 for digest in source["files"].values())


def test_manifest_and_cases_are_the_same():
    entries = store.read_manifest()["cases"]
    assert len(entries) >= 20
    assert list(entries) == [golden.name for golden in cases.CASES]
    for golden in cases.CASES:
        assert Case.parse(entries[golden.name]["case"]) == golden.case
        assert entries[golden.name]["seed"] == golden.case.seed
        assert entries[golden.name]["speech"] == golden.speech


def test_goldens_are_small():
    files = [path for path in store.GOLDENS.iterdir() if path.is_file()]
    assert {path.name for path in files} == {store.MANIFEST, *(f"{name}.npz" for name in store.names())}
    assert sum(path.stat().st_size for path in files) <= 5_000_000


@pytest.mark.parametrize("name", store.names())
def test_inputs_and_weights_are_those_of_the_case(name):
    golden, case = store.load(name), cases.find(name)
    expected = {f"variables/{key}": value for key, value in case.case.variables().items()}
    expected["input"] = case.input()
    expected["cotangent"] = case.case.cotangent(golden.arrays["output"].shape)
    for key, value in expected.items():
        verdict = REDRAWN(golden.arrays[key], value)
        assert verdict.passes, f"{key}: {verdict}"


@pytest.mark.parametrize("name", store.names())
def test_every_golden_is_whole_and_all_of_it_is_held_against(name):
    golden = store.load(name)
    gradients, taps = (set(golden.group(group)) for group in ("gradients", "taps"))
    assert {"input", "kernel", "learnable_pooling/kernel"} <= gradients == set(golden.group("oracle_gradients"))
    assert {"mel", "init", "filters", "windows", "pool", "floor"} <= taps
    assert ({"conv", "modulus"} <= taps) == cases.find(name).full_rate
    for of_oracle, kind in ((False, "f4"), (True, "f8")):
        own = {a.dtype for key, a in golden.arrays.items() if key.startswith("oracle") == of_oracle}
        assert own == {np.dtype(kind)}
    # the initial values are judged by a test of their own
    assert set(expected(name).reference) == taps - {"mel", "init"} | {"output"} | gradients
