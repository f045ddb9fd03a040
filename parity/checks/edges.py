"""What the probe of ties asks of a rung beyond its adapter: gradients at the convolution, and at the floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from parity.adapters import canonical
from parity.adapters.base import Adapter
from parity.adapters.rungs import RUNGS
from parity.checks.expected import Arrays
from parity.checks.grid import Context
from parity.criteria import Exactly, RelativeL2
from parity.criteria.criterion import unit_roundoff
from parity.oracle import Geometry
from parity.oracle.arrays import Array, exact
from parity.oracle.config import FLOOR, LeafConfig
from parity.oracle.correlation import correlate_adjoint
from parity.oracle.gabor import gabor, gabor_adjoint
from parity.oracle.pcen import normalise_adjoint, smoother, smoother_adjoint
from parity.report.claims import Measurement


def conv_gradient(adapter: Adapter, module: Any, x: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Gradient of ``sum(d * conv)`` to the Gabor parameters, [C, 2]: x [B, T], d [B, C, 2, T]."""
    if adapter.rung == "tf_leaf":
        import tensorflow as tf

        conv = module._complex_conv
        with tf.GradientTape() as tape:
            y = conv(tf.convert_to_tensor(x[:, :, np.newaxis], dtype=module.compute_dtype))
        seeds = d.reshape(len(x), -1, x.shape[1]).transpose(0, 2, 1)
        slope = tape.gradient(y, conv._kernel.value, output_gradients=tf.convert_to_tensor(seeds, dtype=y.dtype))
        return np.asarray(slope)
    import torch

    from parity.adapters.base import TorchAdapter

    assert isinstance(adapter, TorchAdapter)
    entry = adapter.entries(module)[canonical.KERNEL]
    audio = torch.as_tensor(x).to(entry.tensors[0].dtype)
    y = adapter.forward_stages(module, audio)["conv"]
    slopes = torch.autograd.grad(y, entry.tensors, torch.as_tensor(d, dtype=y.dtype))
    return entry.gradient(slopes)


def oracle_conv_gradient(kernel: Array, x: np.ndarray, geometry: Geometry, d: np.ndarray) -> Array:
    """The same of the oracle, with no limit on mu and sigma, for one group at full rate."""
    (group,) = geometry.groups
    mu, sigma = kernel.T
    filters = gabor(mu, sigma, group.kernel_size)
    pads = geometry.pads(x.shape[1], group.kernel_size, group.conv_stride)
    flat = filters.reshape(-1, group.kernel_size)
    seeds = exact(d).reshape(len(x), len(flat), -1)
    _, d_filters = correlate_adjoint(exact(x), flat, group.conv_stride, pads, seeds)
    return np.stack(gabor_adjoint(mu, sigma, group.kernel_size, d_filters.reshape(filters.shape)), axis=1)


def root_terms(config: LeafConfig, variables: Arrays, stages: Arrays, d: np.ndarray) -> Array:
    """What the gradient to the root adds up, all terms taken as positive, where the two powers are subtracted: [C]."""
    alpha, delta, root = (
        exact(variables[name])[:, np.newaxis] for name in (canonical.ALPHA, canonical.DELTA, canonical.ROOT)
    )
    inner = stages["floor"] * (config.pcen_floor + stages["ema"]) ** -alpha + delta
    grown, resting = (base ** (1 / root) * np.abs(np.log(base)) for base in (inner, delta))
    # the power and the logarithm, by two each
    return np.asarray(4 * np.sum(np.abs(exact(d)) * (grown + resting) / root**2, axis=(0, 2)))


def power_slopes(config: LeafConfig, variables: Arrays, stages: Arrays, d: np.ndarray) -> dict[str, Array]:
    """Gradients to alpha and the root, [C] each, of what PCEN is at delta = 0: a power of the gained energies."""
    alpha, root = (exact(variables[name])[:, np.newaxis] for name in (canonical.ALPHA, canonical.ROOT))
    smoothed = config.pcen_floor + stages["ema"]
    gained = stages["floor"] * smoothed**-alpha
    scale = exact(d) * gained ** (1 / root) / root
    return {
        canonical.ALPHA: -np.sum(scale * np.log(smoothed), axis=(0, 2)),
        canonical.ROOT: -np.sum(scale * np.log(gained) / root, axis=(0, 2)),
    }


def floor_edge(rung: str, dtype: str) -> Iterator[Measurement]:
    """The floor of the energies: the gradient to those on it is whole, to those under it exactly zero.

    The energies are handed to the frontend in the place of its pooling, so that they are the floor to the bit. In
    rungs 0 and 1 no compression follows; in rungs 2 and 3 the floor is PCEN's own.
    """
    kind = np.dtype(dtype).type
    floor = kind(FLOOR)
    inside, outside = np.nextafter(floor, kind(1)), np.nextafter(floor, kind(0))
    frames = np.array([0.3, floor, inside, outside, floor, 0.0, outside, 2e-3, inside, floor, 1e-7], dtype=dtype)
    energies = np.stack([frames, frames[::-1], np.roll(frames, 3)])[np.newaxis]
    d = np.random.default_rng(0).standard_normal(energies.shape).astype(np.float32)
    context = Context(
        rung, "oracle", "ties and clamp edges", "floor", f"pytest parity_tests/{rung}/test_ties.py", dtype
    )
    run = {"tf_leaf": _tf_leaf_floor, "og_leaf": _og_leaf_floor}.get(rung, _pcen_floor)
    got, expected = run(rung, energies, d)
    acts = energies >= floor
    criterion: Exactly | RelativeL2 = Exactly("with no compression the gradient is the cotangent")
    if run is _pcen_floor:
        criterion = RelativeL2(
            12 * unit_roundoff(dtype), "PCEN's gradient: two powers of four roundings, a sum of frames"
        )
    relation = "bitwise" if isinstance(criterion, Exactly) else "rounding"
    yield context.measurement("floor", "input gradient", criterion(got[acts], expected[acts]), relation)
    under = Exactly("under the floor the function is constant")
    yield context.measurement("floor", "input gradient", under(got[~acts], np.zeros(np.sum(~acts))), "bitwise")


def _tf_leaf_floor(rung: str, energies: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, Array]:
    import tensorflow as tf

    import tf_leaf

    held = tf.constant(energies.transpose(0, 2, 1))
    module = tf_leaf.Leaf(
        n_filters=energies.shape[1], sample_rate=2000, compression_fn=None, dtype=str(energies.dtype),
        pooling_cls=lambda **_: lambda _: held,
    )  # fmt: skip
    with tf.GradientTape() as tape:
        tape.watch(held)
        y = module(np.zeros((1, 100), dtype=energies.dtype))
    seeds = tf.constant(d.transpose(0, 2, 1).astype(energies.dtype))
    return np.asarray(tape.gradient(y, held, output_gradients=seeds)).transpose(0, 2, 1), exact(d)


def _og_leaf_floor(rung: str, energies: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, Array]:
    import torch

    import og_leaf

    held = torch.tensor(energies, requires_grad=True)
    module = og_leaf.Leaf(
        n_filters=energies.shape[1], sample_rate=2000, compression_fn=None, dtype=held.dtype,
        pooling_cls=lambda **_: lambda _: held,  # type: ignore[arg-type]
    )  # fmt: skip
    y = module(torch.zeros(1, 100, dtype=held.dtype))
    (slope,) = torch.autograd.grad(y, held, torch.as_tensor(d).to(held.dtype))
    return slope.numpy(), exact(d)


def _pcen_floor(rung: str, energies: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, Array]:
    import torch

    class Given(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            return held

    held = torch.tensor(energies, requires_grad=True)
    adapter = RUNGS[rung].load_adapter()
    config = LeafConfig(n_filters=energies.shape[1], sample_rate=2000, padding="centered")
    module = adapter.build(config, str(energies.dtype))
    v = {name: exact(value) for name, value in adapter.read(module).items()}
    module.filterbank = Given()
    y = module(torch.zeros(1, 100, dtype=held.dtype))
    (slope,) = torch.autograd.grad(y, held, torch.as_tensor(d).to(held.dtype))

    x, s = np.maximum(exact(energies), float(energies.dtype.type(FLOOR))), v[canonical.SMOOTH]
    m = smoother(x, s, 1 - s)
    parameters = v[canonical.ALPHA], v[canonical.DELTA], 1 / v[canonical.ROOT], config.pcen_floor
    d_x, d_m, *_ = normalise_adjoint(x, m, *parameters, exact(d))
    return slope.numpy(), d_x + smoother_adjoint(x, s, 1 - s, d_m)[0]
