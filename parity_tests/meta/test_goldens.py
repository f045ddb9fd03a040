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
REDRAWN = OfMax(2.0**-23, "sine and exponential may differ in their last float64 bit from processor to processor")


@pytest.fixture
def copy(tmp_path):
    """One golden and the manifest, to be spoiled."""
    for name in (f"{NAME}.npz", store.MANIFEST):
        shutil.copy(store.GOLDENS / name, tmp_path)
    return tmp_path


def refuses(directory, *named: str) -> None:
    refused(lambda: store.load(NAME, directory), store.GoldenError, str(directory), *named)


def rewrite(path, change) -> None:
    """The same archive with other members, written by zipfile so that its checksums are right."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in change(members).items():
            file.writestr(name, data)


def npy(array, **options) -> bytes:
    member = io.BytesIO()
    np.lib.format.write_array(member, array, **options)
    return member.getvalue()


def stored(member: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(member))


def with_output(change):
    return lambda members: {**members, "output.npy": npy(change(stored(members["output.npy"])))}


def one_bit(array: np.ndarray) -> np.ndarray:
    flipped = array.copy()
    flipped.view(np.uint32)[0, 1, 2] ^= 1
    return flipped


def test_every_golden_is_whole():
    for name in store.names():
        assert store.load(name).arrays


def test_untouched_copy_is_accepted(copy):
    assert store.load(NAME, copy).name == NAME


@pytest.mark.parametrize(("change", "named"), [
    (with_output(one_bit), ("array 'output'", "content")),
    (with_output(lambda a: a[:, :, :-1]), ("array 'output'", "recorded", "(1, 4, 5)", "(1, 4, 4)")),
    (with_output(lambda a: a.reshape(4, -1)), ("array 'output'", "(4, 5)", "(1, 4, 5)")),
    (with_output(lambda a: a.astype(np.float64)), ("array 'output'", "<f8", "<f4")),
    (with_output(lambda a: a.astype(">f4")), ("array 'output'", ">f4", "<f4")),
    (with_output(lambda a: a.astype(object)), ("array 'output'", "cannot be read")),
    (lambda m: {k: v for k, v in m.items() if k != "input.npy"}, ("missing: ['input']",)),
    (lambda m: {**m, "more.npy": m["input.npy"]}, ("not expected: ['more']",)),
    (lambda m: {**m, "output.npy": m["output.npy"][:-1]}, ("array 'output'", "cannot be read")),
    (lambda m: {**m, "output.npy": b"numbers"}, ("array 'output'", "cannot be read")),
    (lambda m: m, ("SHA-256",)),  # the same arrays in other bytes: written by something else
], ids=[
    "bit", "shorter", "shape", "dtype", "byte order", "pickled", "missing", "extra", "torn", "no array", "rewritten",
])  # fmt: skip
def test_edited_array_is_refused(copy, change, named):
    rewrite(copy / f"{NAME}.npz", change)
    refuses(copy, f"{NAME}.npz", *named)


def test_any_flipped_bit_is_refused(copy):
    path = copy / f"{NAME}.npz"
    whole = path.read_bytes()
    for at in range(0, len(whole), 61):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        refuses(copy, f"{NAME}.npz")


def test_truncation_anywhere_is_refused(copy):
    path = copy / f"{NAME}.npz"
    whole = path.read_bytes()
    for end in range(0, len(whole), 331):
        path.write_bytes(whole[:end])
        refuses(copy, f"{NAME}.npz")


def test_missing_file_is_refused(copy):
    (copy / f"{NAME}.npz").unlink()
    refuses(copy, f"{NAME}.npz", "cannot be read")


def test_file_of_another_golden_is_refused(copy):
    shutil.copy(store.GOLDENS / "impulse_first.npz", copy / f"{NAME}.npz")
    refuses(copy, f"{NAME}.npz", "array ")


def test_edited_manifest_is_refused(copy):
    path = copy / store.MANIFEST
    text = path.read_text()
    manifest = json.loads(text)
    manifest["cases"][NAME]["arrays"]["output"]["sha256"] = "0" * 64
    for edited in (text.replace("b130481", "b130482"), text.replace("2.15.1", "2.21.0"), text[:-100], "[]", "",
                   json.dumps(manifest), text.replace('"sha256"', '"sha"')):  # fmt: skip
        path.write_text(edited)
        refuses(copy, store.MANIFEST)


def test_missing_manifest_is_refused(copy):
    (copy / store.MANIFEST).unlink()
    refuses(copy, store.MANIFEST, "cannot be read")


def test_unknown_golden_is_refused():
    refused(lambda: store.load("no_such"), store.GoldenError, "'no_such'", store.MANIFEST, "default")


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
def test_arrays_that_every_golden_has(name):
    golden = store.load(name)
    gradients = golden.group("gradients")
    assert {"input", "kernel", "learnable_pooling/kernel"} <= set(gradients) == set(golden.group("oracle_gradients"))
    assert {"mel", "init", "filters", "windows", "pool", "floor"} <= set(golden.group("taps"))
    assert ({"conv", "modulus"} <= set(golden.group("taps"))) == cases.find(name).full_rate
    assert {a.dtype for key, a in golden.arrays.items() if not key.startswith("oracle")} == {np.dtype("f4")}
    assert {a.dtype for key, a in golden.arrays.items() if key.startswith("oracle")} == {np.dtype("f8")}


@pytest.mark.parametrize("name", store.names())
def test_every_recorded_stage_and_gradient_is_held_against(name):
    golden = store.load(name)
    # the initial values are judged by a test of their own
    stages = set(golden.group("taps")) - {"mel", "init"} | {"output"}
    assert set(expected(name).reference) == stages | set(golden.group("gradients"))


def test_a_group_that_is_not_recorded_is_refused():
    refused(lambda: store.load(store.names()[0]).group("stages"), KeyError, "prefix='stages'", "taps")
