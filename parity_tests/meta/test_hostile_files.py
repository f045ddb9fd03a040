"""Files of weights that are made to mislead, to fill memory or to hang: refused by name, and nothing is changed."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from parity import load_weights
from parity.cases.case import Case
from parity.weights.array_files import _require_held
from parity.weights.contents import naming
from parity.weights.load_weights import open_file
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.crafted import refuses
from parity_tests.meta.weights import SMALL, fresh, held, loaded, same_bits

CASE = Case(config=SMALL, seed=1)
WEIGHTS = CASE.variables()
LARGE = 3 << 27  # bytes; more than anything that is unpacked whole


def written(path, **arrays):
    """The weights in a file of a kind; what else is in the arrays goes into an ``.npz`` file."""
    if path.suffix == ".pt":
        torch.save(loaded("og_leaf", CASE).state_dict(), path)
    elif path.suffix == ".safetensors":
        save_file(WEIGHTS, path)
    elif path.suffix == ".h5":
        path.write_bytes((files.FOLDER / "leaf" / "model.h5").read_bytes())
    else:  # an archive of Keras, too, is a zip archive
        with path.open("wb") as file:
            np.savez(file, **{**WEIGHTS, **arrays})
    return path


# what a path may be


@pytest.mark.parametrize("suffix", ["npz", "pt", "safetensors", "h5", "keras", "index"])
def test_pipe(suffix, tmp_path):
    os.mkfifo(tmp_path / f"w.{suffix}")
    refuses(tmp_path / ("w" if suffix == "index" else f"w.{suffix}"), name="small")


def test_device(tmp_path):
    (tmp_path / "w.npz").symlink_to("/dev/zero")
    refuses(tmp_path / "w.npz", "regular file", name="small")


def test_pipe_as_the_data_of_a_checkpoint(tmp_path):
    (tmp_path / "model.index").write_bytes((files.FOLDER / "leaf" / "model.index").read_bytes())
    os.mkfifo(tmp_path / "model.data-00000-of-00001")
    refuses(tmp_path / "model", "regular file")


@pytest.mark.parametrize("name", ["x" * 5000 + ".npz", "x" * 5000, "x\0.npz", "x" * 254])
def test_name_that_no_file_has(name, tmp_path):
    refused(lambda: load_weights(fresh("og_leaf"), tmp_path / name), ValueError, "source=")


@pytest.mark.parametrize("path", ["", ".", "..", "/"])
def test_path_without_a_name(path):
    refused(lambda: load_weights(fresh("og_leaf"), path), ValueError, "source=", "must hold one checkpoint")


def test_link_to_a_file_is_followed(tmp_path):
    written(tmp_path / "w.npz")
    (tmp_path / "l.npz").symlink_to("w.npz")
    module = fresh("og_leaf")
    load_weights(module, tmp_path / "l.npz")
    assert same_bits(held(module), held(loaded("og_leaf", CASE)))


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "h5"])
def test_file_that_changes_while_it_is_read(suffix, tmp_path):
    path = written(tmp_path / f"w.{suffix}")
    contents = open_file(path)
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    os.utime(path, (1, 1))

    def read():
        with naming(path):
            contents.read("")

    refused(read, ValueError, path.name, "changed while it was read")


# mappings


def test_mapping_that_holds_itself():
    mapping = dict(WEIGHTS)
    mapping["again"] = mapping
    refused(lambda: load_weights(fresh("og_leaf"), mapping), ValueError, "none itself")


def test_mappings_that_unfold_without_end():
    mapping = dict(WEIGHTS)
    for _ in range(30):
        mapping = {"a": mapping, "b": mapping}
    refused(lambda: load_weights(fresh("og_leaf"), mapping), ValueError, "entries at most")


MASK = np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0])
RECORDS = np.zeros(3, [("a", "f4")])
ARRAYS = {
    "masked": (MASK, ValueError, ("'PCEN/alpha'", "masked")),
    "structured": (RECORDS, TypeError, ("'PCEN/alpha'", "real")),
    "sparse": (torch.ones(3).to_sparse(), TypeError, ("'PCEN/alpha'", "Tensor")),
    "float16 that is infinite": (np.full(3, np.inf, "f2"), ValueError, ("'PCEN/alpha'", "inf")),
}


@pytest.mark.parametrize(("value", "error", "named"), ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("rung", ["og_leaf", "leaf"])
def test_array_that_does_not_say_its_values(rung, value, error, named):
    refused(lambda: load_weights(fresh(rung), {**WEIGHTS, "PCEN/alpha": value}), error, *named)


def of_eight_bits():
    return torch.tensor([0.5, 0.25, 0.125]).to(torch.float8_e4m3fn)


def read_only():
    array = np.float32([0.5, 0.25, 0.125])
    array.flags.writeable = False
    return array


KINDS = {
    "read-only": read_only,
    "backwards": lambda: np.float32([0.125, 0.25, 0.5])[::-1],
    "float8": of_eight_bits,
    "masked nowhere": lambda: np.ma.masked_array([0.5, 0.25, 0.125], mask=False),
    "big-endian": lambda: np.array([0.5, 0.25, 0.125], ">f4"),
    "a list": lambda: [0.5, 0.25, 0.125],
    "a strided tensor": lambda: torch.tensor([0.5, 0, 0.25, 0, 0.125])[::2],
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("rung", ["og_leaf", "leaf"])
def test_array_of_an_unusual_kind(rung, make):
    module, expected = fresh(rung), fresh(rung)
    load_weights(module, {**WEIGHTS, "PCEN/alpha": make()})
    load_weights(expected, {**WEIGHTS, "PCEN/alpha": np.float32([0.5, 0.25, 0.125])})
    assert same_bits(held(module), held(expected))


# archives


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(("name", "named"), [
    ("kernel.npy", "twice"), ("../w.npy", "outside"), ("/w.npy", "outside"), ("a/../../w.npy", "outside"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", ["npz", "pt", "keras"])
def test_names_in_an_archive(suffix, name, named, tmp_path):
    path = written(tmp_path / f"w.{suffix}")
    if named == "twice":
        name = zipfile.ZipFile(path).namelist()[0]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    refuses(path, named, repr(name), name="small")


@pytest.mark.parametrize("suffix", ["npz", "pt"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_bytes_around_an_archive(where, suffix, tmp_path):
    path = written(tmp_path / f"w.{suffix}")
    data = path.read_bytes()
    path.write_bytes(b"garbage" + data if where == "before" else data + b"garbage")
    refuses(path, name="small")


def longer(member, data):  # 8 values become 200, in the storage and the size
    return data.replace(b"K\x08", b"K\xc8") if member.filename.endswith("data.pkl") else data


def as_a_folder(member, data):
    member.external_attr |= 0x10 * member.filename.endswith("/data/0")
    return data


def compressed(member, data):
    member.compress_type = zipfile.ZIP_DEFLATED
    return data


@pytest.mark.parametrize(("change", "named"), [
    (longer, "800 bytes"), (as_a_folder, "data/0' is marked as a folder"), (compressed, "is compressed"),
])  # fmt: skip
def test_archive_of_a_state_dict_that_pytorch_does_not_write(change, named, tmp_path):
    torch.save({"_complex_conv._kernel": torch.zeros(8)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive, zipfile.ZipFile(tmp_path / "w.pt", "w") as target:
        for member in archive.infolist():
            data = archive.read(member)
            target.writestr(member, change(member, data))
    refuses(tmp_path / "w.pt", named)


def test_tensor_of_more_bytes_than_the_members_of_its_archive():
    refused(lambda: _require_held({"a": torch.zeros(200)}, Counter([32])), ValueError, "a tensor of 800 bytes")


# what unpacks to more than it is


def header_of(shape):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize("says", ["the truth", "little"])
def test_array_that_unpacks_to_more(says, tmp_path):
    shape = (1 << 24,) if says == "the truth" else (3,)
    head, size = header_of(shape), 1 << 26
    data = zlib.compressobj(9, wbits=-15)
    body = data.compress(head) + b"".join(data.compress(bytes(1 << 20)) for _ in range(size >> 20)) + data.flush()
    path = written(tmp_path / "w.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("tfbanks_preemp/kernel.npy", b"")
    whole = path.read_bytes()
    declared = len(head) + (4 * shape[0] if says == "the truth" else 12)
    path.write_bytes(with_deflated(whole, body, declared))
    refuses(path, "w.npz", name="small")


def with_deflated(whole, body, declared):
    """An archive whose last, empty member is replaced by a deflate stream that is said to unpack to some size."""
    end = len(whole) - 22
    n, size, offset = struct.unpack("<HII", whole[end + 10 : end + 20])
    directory = whole[offset : offset + size]
    last = directory.rindex(b"PK\1\2")
    at = struct.unpack("<I", directory[last + 42 : last + 46])[0]
    local = b"PK\3\4" + struct.pack("<HHHHHIII", 20, 0, 8, 0, 33, 0, len(body), declared) + whole[at + 26 : offset]
    entry = directory[last : last + 8] + struct.pack("<HHHHIII", 0, 8, 0, 33, 0, len(body), declared)
    entry += directory[last + 28 :]
    directory = directory[:last] + entry
    offset = at + len(local) + len(body)
    tail = struct.pack("<HHIIH", n, n, len(directory), offset, 0)
    return whole[:at] + local + body + directory + b"PK\5\6\0\0\0\0" + tail


def test_archive_of_keras_that_unpacks_to_more(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.keras", "w", 8) as archive, archive.open("model.weights.h5", "w") as member:
        for _ in range(LARGE >> 20):
            member.write(bytes(1 << 20))
    refuses(tmp_path / "w.keras", f"unpacks to {LARGE} bytes")


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "npz", "h5", "keras", "index"])
def test_sparse_file_of_six_gigabytes(suffix, tmp_path):
    path = tmp_path / f"w.{suffix}"
    with path.open("wb") as file:
        if suffix == "safetensors":
            head = b'{"kernel":{"dtype":"F32","shape":[1600000000],"data_offsets":[0,6400000000]}}'
            file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(6 << 30 if suffix != "safetensors" else 8 + len(head) + 6400000000)
    refuses(tmp_path / "w" if suffix == "index" else path, name="small")


def test_header_that_is_said_to_be_long(tmp_path):
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 1 << 30))
        file.truncate(2 << 30)
    refuses(tmp_path / "w.safetensors", "header is 1073741824 bytes")


def test_sizes_are_held_to_those_of_the_module(tmp_path):
    path = written(tmp_path / "w.npz", more=np.zeros(1 << 21, "f4"))
    refuses(path, "values, must have at most 1048576", name="small")
