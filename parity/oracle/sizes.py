"""How much is summed, not what the sum is: LEAF and its adjoint with every term taken absolutely.

Rounding errs by about one part in 2^24 of the *terms* of a sum, so where they cancel the error is large against the
sum and small against these sizes. No implementation can be held to less than one rounding of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.oracle.arrays import Array, clamp_adjoint, exact
from parity.oracle.convolution import correlate_adjoint, depthwise, depthwise_adjoint
from parity.oracle.filterbank import clamped, filterbank
from parity.oracle.frontend import FLOOR, LOG_OFFSET, NORM_EPS, LeafOracle
from parity.oracle.gabor import gabor, gaussian_window
from parity.oracle.pcen import smoother, smoother_adjoint


def forward_sizes(
    oracle: LeafOracle, variables: Mapping[str, Array], x: Array, taps: Mapping[str, Array], subtracts: bool
) -> dict[str, Array]:
    """One rounding of every operand at each tap, carried to first order through the taps behind it, in units of u.

    Args:
        oracle: the configuration.
        variables: by hub names.
        x: audio, [B, T].
        taps: what :meth:`LeafOracle.taps` returned.
        subtracts: the implementation subtracts ``delta^r`` as the original does, rather than going round it.

    Returns:
        conv, modulus, pool, floor, ema, pcen, norm and output where the configuration has them, of the taps' shapes.
    """
    v = {name: exact(value) for name, value in variables.items()}
    geometry = oracle.geometry
    (group,) = geometry.groups
    magnitude = _emphasised(v, np.abs(exact(x)), oracle.config.preemp)
    mu, sigma, width = clamped(v["kernel"], v["learnable_pooling/kernel"].reshape(-1), geometry.box)
    envelopes = np.stack([np.zeros_like(mu), sigma], axis=1)
    (absolute,) = filterbank(envelopes, width, magnitude, geometry)
    out = {"conv": np.repeat(absolute.conv[:, :, :1], 2, axis=2)}
    out["modulus"] = 2 * (np.abs(taps["conv"]) * out["conv"]).sum(axis=2) + taps["modulus"]
    pads = geometry.pads(out["modulus"].shape[-1], group.window_size, group.pool_stride)
    out["pool"] = depthwise(out["modulus"], taps["windows"], group.pool_stride, pads)
    out["floor"] = np.where(taps["pool"] >= FLOOR, out["pool"], FLOOR)
    out["output"] = out["floor"]
    if oracle.config.compression == "log":
        out["output"] = out["floor"] / (taps["floor"] + LOG_OFFSET) + np.abs(np.log(taps["floor"] + LOG_OFFSET))
    elif "pcen" in taps:
        alpha, delta, root, gain_in, gain_back = oracle._pcen_parameters(v)
        alpha, delta, r = (p[:, np.newaxis] for p in (np.abs(alpha), delta, 1 / root))
        out["ema"] = smoother(out["floor"], np.abs(gain_in), np.abs(gain_back)) + taps["ema"]
        m = oracle.config.pcen_floor + taps["ema"]
        scaled = taps["floor"] * m**-alpha
        slope = r * (scaled + delta) ** (r - 1) * scaled
        relative = out["floor"] / taps["floor"] + alpha * (out["ema"] / m + np.abs(np.log(m)))
        out["pcen"] = slope * relative + np.abs(taps["pcen"]) + (2 * delta**r if subtracts else 0.0)
        out["output"] = out["pcen"]
    if oracle.config.mean_var_norm:
        y = taps["pcen"] if "pcen" in taps else oracle._compressed(v, dict(taps))
        deviation = np.sqrt(y.var(axis=2, keepdims=True) + NORM_EPS)
        gamma = np.abs(v["tfbanks_instancenorm/gamma"])[:, np.newaxis]
        worst = np.maximum(out["output"], np.abs(y)).max(axis=2, keepdims=True)
        size = np.broadcast_to(gamma * worst / deviation, y.shape)
        out["norm"] = out["output"] = size * (1 + np.abs(y - y.mean(axis=2, keepdims=True)) / deviation)
    return out


def _emphasised(v: Mapping[str, Array], magnitude: Array, preemp: bool) -> Array:
    """The magnitude of the signal behind the pre-emphasis."""
    if not preemp:
        return magnitude
    two = np.abs(v["tfbanks_preemp/kernel"]).reshape(2)
    return np.asarray(two[0] * magnitude + two[1] * np.pad(magnitude[:, 1:], ((0, 0), (0, 1))))


def gradient_sizes(oracle: LeafOracle, variables: Mapping[str, Array], x: Array, cotangent: Array) -> dict[str, Array]:
    """The sum of the absolute terms of each gradient.

    Args:
        oracle: the configuration.
        variables: by hub names.
        x: audio, [B, T].
        cotangent: [B, C, F].

    Returns:
        ``input`` and each trainable variable, in the shapes of :meth:`LeafOracle.gradients`; none is negative.
    """
    v = {name: exact(value) for name, value in variables.items()}
    taps = oracle.taps(v, x)
    d = np.abs(exact(cotangent))
    out: dict[str, Array] = {}
    if oracle.config.mean_var_norm:
        d = _norm(oracle, v, taps, d, out)
    d = _compression(oracle, v, taps, d, out)
    d = clamp_adjoint(taps["pool"], d, low=FLOOR)
    signal = _filterbank(oracle, v, np.abs(exact(x)), d, out)
    if oracle.config.preemp:
        two = np.abs(v["tfbanks_preemp/kernel"]).reshape(1, 2)
        signal, d_two = correlate_adjoint(np.abs(exact(x)), two, 1, (0, 1), signal[:, np.newaxis])
        out["tfbanks_preemp/kernel"] = d_two.reshape(2, 1, 1)
    out["input"] = signal
    return out


def _norm(
    oracle: LeafOracle, v: Mapping[str, Array], taps: Mapping[str, Array], d: Array, out: dict[str, Array]
) -> Array:
    y = taps["pcen"] if "pcen" in taps else oracle._compressed(v, dict(taps))
    deviation = np.sqrt(y.var(axis=2, keepdims=True) + NORM_EPS)
    unit = (np.abs(y) + np.abs(y.mean(axis=2, keepdims=True))) / deviation
    out["tfbanks_instancenorm/gamma"] = (d * unit).sum(axis=(0, 2))
    out["tfbanks_instancenorm/beta"] = d.sum(axis=(0, 2))
    d = d * np.abs(v["tfbanks_instancenorm/gamma"])[:, np.newaxis]
    spread = d.mean(axis=2, keepdims=True) + unit * (d * unit).mean(axis=2, keepdims=True)
    return np.asarray((d + spread) / deviation)


def _compression(
    oracle: LeafOracle, v: Mapping[str, Array], taps: Mapping[str, Array], d: Array, out: dict[str, Array]
) -> Array:
    x = taps["floor"]
    if oracle.config.compression == "none":
        return d
    if oracle.config.compression == "log":
        return d / (x + LOG_OFFSET)
    alpha, delta, root, gain_in, gain_back = oracle._pcen_parameters(v)
    alpha, delta, root = (p[:, np.newaxis] for p in (np.abs(alpha), delta, root))
    r, m, eps = 1 / root, taps["ema"], oracle.config.pcen_floor
    gain = (eps + m) ** -alpha
    inner = x * gain + delta
    d_inner = d * r * inner ** (r - 1)
    d_delta = d_inner + d * r * delta ** (r - 1)
    d_r = d * (inner**r * np.abs(np.log(inner)) + delta**r * np.abs(np.log(delta)))
    d_gain = d_inner * x
    d_smoothed, d_in, d_back = smoother_adjoint(
        x, np.abs(gain_in), np.abs(gain_back), d_gain * alpha * gain / (eps + m)
    )
    out["PCEN/alpha"] = (d_gain * gain * np.abs(np.log(eps + m))).sum(axis=(0, 2))
    out["PCEN/delta"] = d_delta.sum(axis=(0, 2))
    out["PCEN/root"] = (d_r / root**2).sum(axis=(0, 2))
    if oracle.config.compression == "pcen":
        d_s = d_in + d_back
        out["PCEN/EMA/smooth"] = d_s if oracle.config.per_channel_smooth else d_s.sum(keepdims=True)
    return np.asarray(d_inner * gain + d_smoothed)


def _filterbank(oracle: LeafOracle, v: Mapping[str, Array], magnitude: Array, d: Array, out: dict[str, Array]) -> Array:
    """Sizes of the filterbank's gradients, group by group; returns that of the signal."""
    geometry = oracle.geometry
    magnitude = _emphasised(v, magnitude, oracle.config.preemp)
    mu, sigma, width = clamped(v["kernel"], v["learnable_pooling/kernel"].reshape(-1), geometry.box)
    # envelopes without a carrier: the sums of the absolute taps
    taps = filterbank(np.stack([np.zeros_like(mu), sigma], axis=1), width, magnitude, geometry)
    d_kernel, d_width, d_signal = np.zeros((len(mu), 2)), np.zeros(len(mu)), np.zeros(magnitude.shape)
    for group, tap in zip(geometry.groups, taps, strict=True):
        chosen = slice(group.start, group.stop)
        t = np.abs(np.arange(-(group.kernel_size // 2), (group.kernel_size + 1) // 2))
        kernels = np.abs(gabor(mu[chosen], sigma[chosen], group.kernel_size))
        conv = np.repeat(np.abs(tap.conv[:, :, :1]), 2, axis=2)
        scale = geometry.pooling_scale(group)
        w = width[chosen, np.newaxis] * scale
        windows = gaussian_window(w[:, 0], group.window_size)
        pads = geometry.pads(conv.shape[-1], group.window_size, group.pool_stride)
        energy = (conv**2).sum(axis=2)
        d_energy, d_windows = depthwise_adjoint(energy, windows, group.pool_stride, pads, d[:, chosen])
        half = 0.5 * max(group.window_size - 1, 1)
        z = (np.arange(group.window_size) - 0.5 * (group.window_size - 1)) / half
        d_width[chosen] = scale * (d_windows * windows * z**2 / w**3).sum(axis=1)
        d_conv = 2 * conv * d_energy[:, :, np.newaxis]
        pads = geometry.pads(magnitude.shape[1], group.kernel_size, group.conv_stride)
        flat = kernels.reshape(-1, group.kernel_size)
        d_group, d_kernels = correlate_adjoint(
            magnitude, flat, group.conv_stride, pads, d_conv.reshape(magnitude.shape[0], flat.shape[0], -1)
        )
        d_signal += d_group
        d_kernels = d_kernels.reshape(kernels.shape)
        d_kernel[chosen, 0] = (t * (d_kernels[:, 1] * kernels[:, 0] + d_kernels[:, 0] * kernels[:, 1])).sum(axis=1)
        s = sigma[chosen, np.newaxis]
        d_kernel[chosen, 1] = ((d_kernels * kernels).sum(axis=1) * (t**2 / s**3 + 1 / s)).sum(axis=1)
    out["kernel"] = d_kernel
    out["learnable_pooling/kernel"] = d_width.reshape(1, 1, -1, 1)
    return d_signal
