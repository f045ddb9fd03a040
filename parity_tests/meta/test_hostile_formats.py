"""HDF5 files whose values lie elsewhere or nowhere, and checkpoints that no model wrote: refused by name."""

from __future__ import annotations

import zlib

import h5py
import numpy as np
import pytest

from parity import load_weights
from parity.weights.tensorflow_checkpoint import crc32c
from parity_tests.helpers.refusals import refused
from parity_tests.meta import checkpoint_files as files
from parity_tests.meta.crafted import checkpoint, child, entry, graph, refuses
from parity_tests.meta.weights import held, same_bits

# HDF5


def keras_file(path, change):
    """The recorded file with its kernel replaced."""
    path.write_bytes((files.FOLDER / "leaf" / "model.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if item.__class__.__name__ == "Dataset" else None)
        name = next(name for name in found if name.endswith("alpha:0"))
        values = file[name][()]
        del file[name]
        change(file, name, values)
    return path


def elsewhere(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.float32([0.9, 0.9, 0.9, 0.9])


def virtual(file, name, values):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource("other.h5", "x", values.shape)
    file.create_virtual_dataset(name, layout, fillvalue=0.5)


def outside(file, name, values):
    file.create_dataset(name, values.shape, values.dtype, external=[("raw.bin", 0, values.nbytes)])


def external_link(file, name, values):
    file[name] = h5py.ExternalLink("other.h5", "x")


def soft_link(file, name, values):
    file[name] = h5py.SoftLink("/nowhere")


def never_written(file, name, values):
    file.create_dataset(name, values.shape, values.dtype, fillvalue=0.5)


def chunk_never_written(file, name, values):
    dataset = file.create_dataset(name, values.shape, values.dtype, chunks=(1,), fillvalue=0.5)
    dataset[0] = values[0]


def compressed_by_others(file, name, values):
    file.create_dataset(name, data=values, chunks=values.shape, compression="lzf")


def bomb(file, name, values):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(values.shape)
    plist.set_deflate(9)
    space = h5py.h5s.create_simple(values.shape)
    dataset = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, plist)
    dataset.write_direct_chunk((0,), zlib.compress(bytes(1 << 19), 9))


HDF5 = {
    virtual: "lies in another file", outside: "lies in another file", external_link: "link", soft_link: "link",
    never_written: "never written", chunk_never_written: "never written", compressed_by_others: "filter 32000",
    bomb: "does not unpack",
}  # fmt: skip


@pytest.mark.parametrize("change", HDF5)
def test_values_that_are_not_in_the_file(change, tmp_path):
    elsewhere(tmp_path / "other.h5")
    (tmp_path / "raw.bin").write_bytes(np.float32([0.9] * 4).tobytes())
    refuses(keras_file(tmp_path / "w.h5", change), HDF5[change], "alpha")


@pytest.mark.parametrize("options", [
    {}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True, "fletcher32": True}, {"fletcher32": True},
    {"chunks": (3,), "compression": 9},
])  # fmt: skip
def test_values_that_are_packed(options, tmp_path):
    def change(file, name, values):
        file.create_dataset(name, data=values, **options)

    module, expected = files.torch_frontend("leaf"), files.torch_frontend("leaf")
    load_weights(module, keras_file(tmp_path / "w.h5", change))
    load_weights(expected, files.FOLDER / "leaf" / "model.h5")
    assert same_bits(held(module), held(expected))


GRAPHS = {
    "deep": ([child(i + 1, b"a") for i in range(20_000)] + [b""], "too deep"),
    "of long names": ([child(i + 1, b"a" * 1000) for i in range(1000)] + [b""], "too deep"),
    "cyclic": ([child(0, b"a") + child(1, b"b"), child(0, b"a")], "missing"),
    "dense": ([b"".join(child(j, b"x%d" % j) for j in range(200)) for _ in range(200)], "missing"),
}


@pytest.mark.parametrize(("nodes", "named"), GRAPHS.values(), ids=GRAPHS)
def test_graph_of_objects(nodes, named, tmp_path):
    path, module = graph(tmp_path, nodes), files.torch_frontend("leaf")
    refused(lambda: load_weights(module, path), ValueError, named)


def test_thousand_data_files(tmp_path):
    path = checkpoint(tmp_path / "w", [(b"kernel", entry(8, shape=(2,), shard=999))], n_shards=1000)
    refuses(path, "w.data-00999-of-01000", "no such file")
    refuses(checkpoint(path, [(b"kernel", entry(8, shape=(2,), shard=1000))], n_shards=1000), "data file 1000")


def test_entries_that_speak_of_more_than_there_is(tmp_path):
    (tmp_path / "w.data-00000-of-00001").write_bytes(bytes(100))
    for size, shape in ((1 << 40, (1 << 38,)), (8, (1 << 62, 4)), (104, (26,))):
        refuses(checkpoint(tmp_path / "w", [(b"kernel", entry(size, shape=shape))]))


def test_key_that_comes_twice(tmp_path):
    refuses(checkpoint(tmp_path / "w", [(b"kernel", entry(8)), (b"kernel", entry(8))]), "'kernel' comes twice")


def test_checksum_of_many_bytes_is_that_of_one_after_the_other():
    data = np.random.default_rng(1).bytes(70_001)
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's check value
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    assert crc32c(data) == value ^ 0xFFFFFFFF
