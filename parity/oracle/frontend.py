"""LEAF end to end in float64: every stage, and the adjoint of the whole.

The oracle is fed the float32 inputs and parameters of the run that it judges, exactly. It follows the mathematics
of LEAF, not the operations of a rung; where rungs mean different functions, the difference is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from parity.oracle import norm
from parity.oracle.arrays import Array, clamp, clamp_adjoint, exact
from parity.oracle.config import LeafConfig
from parity.oracle.convolution import correlate, correlate_adjoint
from parity.oracle.filterbank import Geometry, filterbank, filterbank_adjoint
from parity.oracle.pcen import normalise, normalise_adjoint, smoother, smoother_adjoint

FLOOR = 1e-5  # on the pooled energies, before any compression (``Leaf.call`` in ``leaf_audio/frontend.py``)
LOG_OFFSET = 1e-5  # of ``log_compression``
NORM_EPS = 1e-6  # of the instance normalisation


@dataclass(frozen=True)
class Conventions:
    """Where the rungs mean different functions outside their shared domain.

    Attributes:
        clip_smooth: the smoothing coefficient is limited to [0, 1] (the original), or free (simplified LEAF).
        delta_low: delta is limited from below (simplified LEAF: 0), or free (None, the original).
        upper_wins: limits of the filterbank that cross, in windows under four samples, give the upper one (simplified
            LEAF), or the lower (the original).
    """

    clip_smooth: bool = True
    delta_low: float | None = None
    upper_wins: bool = False


ORIGINAL = Conventions()
SIMPLIFIED = Conventions(clip_smooth=False, delta_low=0.0, upper_wins=True)


class LeafOracle:
    """One configuration of LEAF, in float64.

    Args:
        config: what to compute.
        conventions: whose limits on the PCEN parameters.
        geometry: kernel lengths, rates and limits; the default is LEAF's own at full rate.
    """

    def __init__(
        self, config: LeafConfig, conventions: Conventions = ORIGINAL, geometry: Geometry | None = None
    ) -> None:
        self.config = config
        self.conventions = conventions
        self.geometry = geometry or Geometry.of_leaf(
            config.n_filters, config.window, config.stride, config.padding, conventions.upper_wins
        )

    def stages(self, variables: Mapping[str, Array], x: Array) -> dict[str, Array]:
        """Every stage of the forward pass.

        Args:
            variables: by the original's names and shapes (see :mod:`parity.adapters.canonical`).
            x: audio, [B, T].

        Returns:
            filters [C, 2, W], windows [C, W], conv [B, C, 2, T], modulus [B, C, T] (these four only where there is
            one group), pool, floor, ema, pcen, norm and output [B, C, F] (ema, pcen and norm where configured).
        """
        v = {name: exact(value) for name, value in variables.items()}
        x = exact(x)
        stages: dict[str, Array] = {}
        signal = self._emphasised(v, x)
        width = v["learnable_pooling/kernel"].reshape(-1)
        groups = filterbank(v["kernel"], width, signal, self.geometry)
        if len(groups) == 1:
            stages.update(filters=groups[0].filters, windows=groups[0].windows)
            stages.update(conv=groups[0].conv, modulus=groups[0].modulus)
        stages["pool"] = np.concatenate([g.pool for g in groups], axis=1)
        stages["floor"] = clamp(stages["pool"], low=FLOOR)
        y = self._compressed(v, stages)
        if self.config.mean_var_norm:
            gamma, beta = v["tfbanks_instancenorm/gamma"], v["tfbanks_instancenorm/beta"]
            y = norm.standardise(y, gamma[:, np.newaxis], beta[:, np.newaxis], NORM_EPS, axes=(2,))
            stages["norm"] = y
        stages["output"] = y
        return stages

    def gradients(self, variables: Mapping[str, Array], x: Array, cotangent: Array) -> dict[str, Array]:
        """Gradient of ``sum(cotangent * output)`` by hand-written adjoints.

        Args:
            variables: as for :meth:`stages`.
            x: audio, [B, T].
            cotangent: [B, C, F].

        Returns:
            ``input`` [B, T] and one array for every trainable variable, of its shape.
        """
        v = {name: exact(value) for name, value in variables.items()}
        x = exact(x)
        out: dict[str, Array] = {}
        signal = self._emphasised(v, x)
        width = v["learnable_pooling/kernel"].reshape(-1)
        groups = filterbank(v["kernel"], width, signal, self.geometry)
        pool = np.concatenate([g.pool for g in groups], axis=1)
        stages: dict[str, Array] = {"floor": clamp(pool, low=FLOOR)}
        d = exact(cotangent)
        y = self._compressed(v, stages)
        if self.config.mean_var_norm:
            gamma = v["tfbanks_instancenorm/gamma"][:, np.newaxis]
            d, d_gamma, d_beta = norm.standardise_adjoint(y, gamma, NORM_EPS, (2,), d)
            out.update({"tfbanks_instancenorm/gamma": d_gamma, "tfbanks_instancenorm/beta": d_beta})
        d = self._compressed_adjoint(v, stages, d, out)
        d = clamp_adjoint(pool, d, low=FLOOR)
        d_kernel, d_width, d_signal = filterbank_adjoint(v["kernel"], width, signal, self.geometry, groups, d)
        out["kernel"] = d_kernel
        out["learnable_pooling/kernel"] = d_width.reshape(v["learnable_pooling/kernel"].shape)
        if self.config.preemp:
            taps_2 = v["tfbanks_preemp/kernel"].reshape(1, 2)
            d_signal, d_stages = correlate_adjoint(x, taps_2, 1, (0, 1), d_signal[:, np.newaxis])
            out["tfbanks_preemp/kernel"] = d_stages.reshape(v["tfbanks_preemp/kernel"].shape)
        out["input"] = d_signal
        return out

    def _emphasised(self, v: Mapping[str, Array], x: Array) -> Array:
        """Non-causal pre-emphasis ``k[0] x[n] + k[1] x[n+1]``: TensorFlow's SAME pads two taps on the right."""
        if not self.config.preemp:
            return x
        return correlate(x, v["tfbanks_preemp/kernel"].reshape(1, 2), 1, (0, 1))[:, 0]

    def _pcen_parameters(self, v: Mapping[str, Array]) -> tuple[Array, Array, Array, Array, Array]:
        alpha = clamp(v["PCEN/alpha"], high=1.0)
        delta = clamp(v["PCEN/delta"], low=self.conventions.delta_low)
        root = clamp(v["PCEN/root"], low=1.0)
        if self.config.compression == "fixed_pcen":
            cell = "PCEN/simple_rnn/simple_rnn_cell/"
            return alpha, delta, root, np.diag(v[cell + "kernel"]), np.diag(v[cell + "recurrent_kernel"])
        s = v["PCEN/EMA/smooth"]
        if self.conventions.clip_smooth:
            s = clamp(s, 0.0, 1.0)
        return alpha, delta, root, s, 1.0 - s

    def _compressed(self, v: Mapping[str, Array], stages: dict[str, Array]) -> Array:
        if self.config.compression == "none":
            return stages["floor"]
        if self.config.compression == "log":
            return np.asarray(np.log(stages["floor"] + LOG_OFFSET))
        alpha, delta, root, gain_in, gain_back = self._pcen_parameters(v)
        stages["ema"] = smoother(stages["floor"], gain_in, gain_back)
        stages["pcen"] = normalise(stages["floor"], stages["ema"], alpha, delta, 1 / root, self.config.pcen_floor)
        return stages["pcen"]

    def _compressed_adjoint(
        self, v: Mapping[str, Array], stages: dict[str, Array], d: Array, out: dict[str, Array]
    ) -> Array:
        """Cotangent of the compression's output to that of its input; the parameters' gradients go to ``out``."""
        x = stages["floor"]
        if self.config.compression == "none":
            return d
        if self.config.compression == "log":
            return d / (x + LOG_OFFSET)
        alpha, delta, root, gain_in, gain_back = self._pcen_parameters(v)
        eps = self.config.pcen_floor
        d_x, d_m, d_alpha, d_delta, d_r = normalise_adjoint(x, stages["ema"], alpha, delta, 1 / root, eps, d)
        d_smoothed, d_in, d_back = smoother_adjoint(x, gain_in, gain_back, d_m)
        out["PCEN/alpha"] = clamp_adjoint(v["PCEN/alpha"], d_alpha, high=1.0)
        out["PCEN/delta"] = clamp_adjoint(v["PCEN/delta"], d_delta, low=self.conventions.delta_low)
        out["PCEN/root"] = clamp_adjoint(v["PCEN/root"], -d_r / root**2, low=1.0)
        if self.config.compression == "pcen":
            d_s = d_in - d_back
            if not self.config.per_channel_smooth:
                d_s = d_s.sum(keepdims=True)
            limits = (0.0, 1.0) if self.conventions.clip_smooth else (None, None)
            out["PCEN/EMA/smooth"] = clamp_adjoint(v["PCEN/EMA/smooth"], d_s, *limits)
        return d_x + d_smoothed
