"""LEAF in running-error arithmetic: how far a faithful implementation may be from the oracle, stage by stage.

The values come from the oracle; here their errors are propagated, operation by operation. Where faithful forms differ
(a lerp or two products, a subtraction or ``expm1``), the roundings of either are counted, so that one bound serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from parity.oracle import scan
from parity.oracle.arrays import Array, exact
from parity.oracle.filterbank import Group
from parity.oracle.frontend import FLOOR, LOG_OFFSET, NORM_EPS, LeafOracle
from parity.oracle.recurrence import either, smoothed
from parity.oracle.running import Precision, Running, bilinear

Errors = dict[str, Array]


def convolve(a: Array, b: Array, n: int, first: int) -> Array:
    """``n`` values of the full convolution along the last axis, from index ``first`` on, by Fourier transform."""
    size = 1 << (a.shape[-1] + b.shape[-1] - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)
    return np.asarray(product[..., first : first + n])


def convolve_above(a: Array, b: Array, n: int, first: int) -> Array:
    """:func:`convolve` of magnitudes, rounded up.

    The transform's own rounding goes with the largest values: far below what float32 does to any convolution, but not
    below what it does to the zeros beside them.
    """
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    return np.asarray(np.maximum(convolve(a, b, n, first), 0.0) + 2.0**-48 * lengths[0] * lengths[1])


def _promised(error: Array) -> Array:
    return np.where(np.isnan(error), np.inf, error)


def _padded(x: Array, pads: tuple[int, int]) -> Array:
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [pads])


def _spread(d: Array, stride: int, n: int) -> Array:
    """Frames put back where they were taken from, zeros between: [..., F] to [..., n]."""
    out = np.zeros((*d.shape[:-1], n))
    out[..., : d.shape[-1] * stride : stride] = d
    return out


class Correlation:
    """A strided correlation and its two adjoints: signals [..., T], windows [..., W]."""

    def __init__(
        self,
        n: int,
        window: int,
        stride: int,
        pads: tuple[int, int],
        convolve: Callable[[Array, Array, int, int], Array] = convolve,
    ) -> None:
        self._convolve = convolve
        self.n, self.window, self.stride, self.pads = n, window, stride, pads
        self.n_padded = n + sum(pads)
        self.n_frames = (self.n_padded - window) // stride + 1

    def above(self) -> Correlation:
        """The same for magnitudes, rounded up."""
        return Correlation(self.n, self.window, self.stride, self.pads, convolve_above)

    def forward(self, x: Array, w: Array) -> Array:
        """To frames [..., F]."""
        n = (self.n_frames - 1) * self.stride + 1
        return self._convolve(_padded(x, self.pads), w[..., ::-1], n, self.window - 1)[..., :: self.stride]

    def to_signal(self, d: Array, w: Array) -> Array:
        """From a cotangent [..., F] to [..., T]."""
        spread = _spread(d, self.stride, self.n_frames * self.stride)
        return self._convolve(spread, w, self.n, self.pads[0])

    def to_window(self, d: Array, x: Array) -> Array:
        """From a cotangent [..., F] and the signal to [..., W]."""
        spread = _spread(d, self.stride, (self.n_frames - 1) * self.stride + 1)
        padded = _padded(x, self.pads)[..., : self.n_padded]
        return self._convolve(padded, spread[..., ::-1], self.window, spread.shape[-1] - 1)


class LeafBounds:
    """The running errors of one run.

    Args:
        oracle: the configuration and its conventions.
        variables: weights, by canonical names, as the implementation holds them.
        x: audio, [B, T].
        precision: of the implementation.
        subtracts: count the digits that the original's PCEN loses by subtracting ``delta^r``. Without, a form that
            does not cancel is asked for.
    """

    def __init__(
        self,
        oracle: LeafOracle,
        variables: Mapping[str, Array],
        x: Array,
        precision: Precision,
        subtracts: bool = True,
    ) -> None:
        self.oracle, self.precision, self.subtracts = oracle, precision, subtracts
        self.v = {name: exact(value) for name, value in variables.items()}
        self.x = self._given(exact(x), 1.0 if precision.u > precision.accumulate else 0.0)
        with np.errstate(all="ignore"):  # what nothing is promised of meets zeros, and makes NaN: no promise either
            self._run()

    def _run(self) -> None:
        self.signal = self._emphasised()
        self.bank = [GroupBounds(self, group) for group in self.oracle.geometry.groups]
        self.pool = _joined([group.pool for group in self.bank])
        self.floor = self.pool.clamped(low=FLOOR)
        self.tail: dict[str, Running] = {}
        self.out = self._normalised(self._compressed())

    def stages(self) -> dict[str, Running]:
        """Every stage with its error, under the names and in the shapes of :meth:`LeafOracle.stages`."""
        found: dict[str, Running] = {}
        if len(self.bank) == 1:
            (group,) = self.bank
            found = {
                "filters": group.filters,
                "windows": group.windows,
                "conv": group.conv,
                "modulus": group.modulus,
            }
        return {**found, "pool": self.pool, "floor": self.floor, **self.tail, "output": self.out}

    def forward(self) -> Errors:
        """The largest error at every stage."""
        return {name: _promised(stage.error) for name, stage in self.stages().items()}

    def gradients(self, cotangent: Array) -> Errors:
        """The largest error of every gradient, under the names and in the shapes of :meth:`LeafOracle.gradients`."""
        from parity.oracle.bounds_adjoint import gradients

        with np.errstate(all="ignore"):
            return {name: _promised(g.error) for name, g in gradients(self, cotangent).items()}

    def _given(self, value: Array, roundings: float = 0.0) -> Running:
        return Running.given(value, self.precision, roundings)

    def constant(self, value: object) -> Running:
        """A constant of the original, rounded once."""
        return self._given(exact(value), 1.0)

    def column(self, name: str) -> Running:
        """A per-filter parameter, [C, 1]."""
        return self._given(self.v[name][:, np.newaxis])

    def _emphasised(self) -> Running:
        if not self.oracle.config.preemp:
            return self.x
        two = self._given(self.v["tfbanks_preemp/kernel"].reshape(2))
        ahead = self.x.arranged(lambda a: np.pad(a[:, 1:], ((0, 0), (0, 1))))
        return two[0] * self.x + two[1] * ahead

    def smoother_gains(self) -> tuple[Running, Running]:
        """What the smoother multiplies its input and its state by, [C] or [1]."""
        if self.oracle.config.compression == "fixed_pcen":
            cell = "PCEN/simple_rnn/simple_rnn_cell/"
            gains = [self._given(np.diag(self.v[cell + name])) for name in ("kernel", "recurrent_kernel")]
            return gains[0], gains[1]
        s = self._given(self.v["PCEN/EMA/smooth"])
        if self.oracle.conventions.clip_smooth:
            s = s.clamped(0.0, 1.0)
        return s, self._given(np.ones(1)) - s

    def pcen_parameters(self) -> tuple[Running, Running, Running]:
        """alpha, delta and r as they act, [C, 1]."""
        alpha = self.column("PCEN/alpha").clamped(high=1.0)
        delta = self.column("PCEN/delta").clamped(low=self.oracle.conventions.delta_low)
        return alpha, delta, self._given(np.ones(1)) / self.column("PCEN/root").clamped(low=1.0)

    def _compressed(self) -> Running:
        config, x = self.oracle.config, self.floor
        if config.compression == "none":
            return x
        if config.compression == "log":
            return (x + self.constant(LOG_OFFSET)).log()
        gain_in, gain_back = self.smoother_gains()
        ema = smoothed(x, gain_in, gain_back)
        if config.compression == "pcen":
            ema = either(ema, scan.average, x, gain_in.value, x[..., 0])
        alpha, delta, r = self.pcen_parameters()
        scaled = x * (self.constant(config.pcen_floor) + ema).power(-alpha)
        rooted = self._rooted(scaled, delta, r)
        self.tail |= {"ema": ema, "pcen": rooted}
        return rooted

    def _rooted(self, scaled: Running, delta: Running, r: Running) -> Running:
        """``(scaled + delta)^r - delta^r``."""
        with np.errstate(all="ignore"):
            by_power = (scaled + delta).power(r)
            at_rest = delta.power(r)
            if self.subtracts:
                rooted = by_power - at_rest
            else:
                log_ratio = (scaled / delta).monotone(np.log1p, 4.0)
                rooted = at_rest * (r * log_ratio).monotone(np.expm1, 4.0)
            bare = scaled.power(r)
        zero = np.broadcast_to(delta.value == 0, rooted.value.shape)
        value, error = (np.where(zero, getattr(bare, name), getattr(rooted, name)) for name in ("value", "error"))
        return Running(value, error, self.precision)

    def _normalised(self, y: Running) -> Running:
        """Instance norm; ``x gain + (beta - mean gain)`` cancels where the centred form does not: the former counts."""
        if not self.oracle.config.mean_var_norm:
            return y
        gamma, beta = (self.column(f"tfbanks_instancenorm/{name}") for name in ("gamma", "beta"))
        self.mean = y.mean(2)
        self.centred = y - self.mean
        variance = (self.centred * self.centred).mean(2)
        self.scale = (variance + self.constant(NORM_EPS)).power(self._given(np.full(1, -0.5)))
        gain = self.scale * gamma
        out = self.centred * gain + beta
        lost = self.precision.u * (3 * gain.size * (y.size + self.mean.size) + beta.size)
        self.tail["norm"] = Running(out.value, out.error + lost, self.precision)
        return self.tail["norm"]


class GroupBounds:
    """One group of filters: kernels, windows, convolution, energies and pooling."""

    def __init__(self, whole: LeafBounds, group: Group) -> None:
        self.group, self.geometry = group, whole.oracle.geometry
        self.chosen = slice(group.start, group.stop)
        self.parameters(whole)
        signal = whole.signal
        n = signal.value.shape[-1]
        pads = self.geometry.pads(n, group.kernel_size, group.conv_stride)
        self.correlation = Correlation(n, group.kernel_size, group.conv_stride, pads)
        broadcast = signal.reshape(signal.value.shape[0], 1, 1, n)
        value = self.correlation.forward(broadcast.value, self.filters.value)
        self.conv = bilinear(self.correlation.above().forward, broadcast, self.filters, value, group.kernel_size)
        squares = self.conv * self.conv
        self.modulus = squares[:, :, 0] + squares[:, :, 1]
        n = self.modulus.value.shape[-1]
        pads = self.geometry.pads(n, group.window_size, group.pool_stride)
        self.pooling = Correlation(n, group.window_size, group.pool_stride, pads)
        value = self.pooling.forward(self.modulus.value, self.windows.value)
        self.pool = bilinear(self.pooling.above().forward, self.modulus, self.windows, value, group.window_size)

    def parameters(self, whole: LeafBounds) -> None:
        """Kernels [K, 2, W] and windows [K, V], with the clamped parameters that they come from."""
        box, group, precision = self.geometry.box, self.group, whole.precision
        mu, sigma = (Running.given(whole.v["kernel"][self.chosen, i : i + 1], precision) for i in (0, 1))
        self.mu = mu.clamped(0.0, np.pi)
        self.sigma = sigma.clamped(high=box.sigma_high).clamped(low=box.sigma_low)
        width = Running.given(whole.v["learnable_pooling/kernel"].reshape(-1, 1)[self.chosen], precision)
        width = width.clamped(high=0.5).clamped(low=box.width_low)
        self.scale = self.geometry.pooling_scale(group)
        # EfficientLEAF rescales the width in three operations, which round even where the scale comes to 1
        self.width = width * Running.given(np.full((1, 1), self.scale), precision, 2.0)
        one = Running.given(np.ones((1, 1)), precision)
        self.t = np.arange(-(group.kernel_size // 2), (group.kernel_size + 1) // 2, dtype=np.float64)
        t = Running.given(self.t[np.newaxis], precision)
        envelope = -((t * t).times(0.5) * (one / (self.sigma * self.sigma)))
        peak = one / (Running.given(np.full((1, 1), np.sqrt(2 * np.pi)), precision, 2.0) * self.sigma)
        gaussian = peak * envelope.exp()
        parts = [gaussian * part for part in (self.mu * t).cos_sin()]
        self.filters = Running(
            np.stack([p.value for p in parts], axis=1), np.stack([p.error for p in parts], axis=1), precision
        )
        half = max(0.5 * (group.window_size - 1), 0.5)
        z = np.arange(group.window_size) - 0.5 * (group.window_size - 1)
        self.z = Running.given(z[np.newaxis], precision) / self.width.times(half).rounded(
            self.width.value * half, self.width.error * half
        )
        self.windows = (-(self.z * self.z).times(0.5)).exp()


def _joined(parts: list[Running]) -> Running:
    value, error = (np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("value", "error"))
    return Running(value, error, parts[0].precision)
