"""Faults of ``og_leaf``'s Gabor filters: their limits, their time axis, their formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from og_leaf import checks, frontend, impulse_responses
from og_leaf.convolution import GaborConstraint
from parity.mutation.planting import Fault, replaced

Limit = Callable[[Tensor, int], Tensor]
PER_SAMPLE = math.sqrt(2 * math.log(2)) / math.pi
_response = impulse_responses.gabor_impulse_response
_geometry = checks.check_geometry


def _mu(mu: Tensor, size: int) -> Tensor:
    return impulse_responses.clip(mu, 0.0, math.pi)


def _sigma(sigma: Tensor, size: int) -> Tensor:
    return impulse_responses.clip(sigma, 4 * PER_SAMPLE, size * PER_SAMPLE)


def _free(values: Tensor, size: int) -> Tensor:
    return values


def _constraint(mu: Limit = _mu, sigma: Limit = _sigma) -> Callable[[GaborConstraint, Tensor], Tensor]:
    """``GaborConstraint.forward`` with other limits."""

    def forward(self: GaborConstraint, kernel: Tensor) -> Tensor:
        return torch.stack([mu(kernel[:, 0], self._kernel_size), sigma(kernel[:, 1], self._kernel_size)], dim=1)

    return forward


def _constraint_in_data(self: GaborConstraint, kernel: Tensor) -> Tensor:
    kernel.data[:, 0].clamp_(0.0, math.pi)
    kernel.data[:, 1].clamp_(4 * PER_SAMPLE, self._kernel_size * PER_SAMPLE)
    return kernel


def _mu_by_minimum(mu: Tensor, size: int) -> Tensor:
    return torch.minimum(torch.maximum(mu, torch.zeros_like(mu)), torch.full_like(mu, math.pi))


def _sigma_inside(sigma: Tensor, size: int) -> Tensor:
    low, high = 4 * PER_SAMPLE, size * PER_SAMPLE
    return torch.where((sigma > low) & (sigma < high), sigma, sigma.detach().clamp(low, high))


def _sampled(times: Callable[[int], Tensor]) -> Callable[..., Tensor]:
    """``gabor_filters`` on another time axis."""

    def gabor_filters(kernel: Tensor, size: int = 401) -> Tensor:
        t = times(size).to(kernel)
        return impulse_responses.gabor_impulse_response(t, center=kernel[:, 0], fwhm=kernel[:, 1])

    return gabor_filters


def _later(size: int) -> Tensor:
    return torch.arange(-((size - 1) // 2), size // 2 + 1)


def _centred(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float64) - 0.5 * (size - 1)


def _odd_geometry(sample_rate: Any, window_len: Any, window_stride: Any) -> tuple[int, int]:
    window, stride = _geometry(sample_rate, window_len, window_stride)
    return window - 1 + window % 2, stride


def _conjugate(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    return _response(t, -center, fwhm)


def _unnormalised(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    return _response(t, center, fwhm) * (math.sqrt(2.0 * math.pi) * fwhm).unsqueeze(1)


def _root_of_sigma(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    return _response(t, center, fwhm) * torch.sqrt(fwhm).unsqueeze(1)


def _truly_fwhm(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    return _response(t, center, fwhm / (2.0 * math.sqrt(2.0 * math.log(2.0))))


def _in_complex64(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    return _response(t.float(), center.float(), fwhm.float()).to(t.dtype.to_complex())


def _in_halves(t: Tensor, center: Tensor, fwhm: Tensor) -> Tensor:
    wavelets = _response(t, center, fwhm)
    return torch.complex(wavelets.real.half().to(t), wavelets.imag.half().to(t))


def _fault(
    name: str, kind: str, tap: str, gate: str, statement: str, *where: tuple[Any, str, Any], property: str = "forward"
) -> Fault:
    return Fault(f"og_leaf/{name}", kind, "og_leaf", tap, gate, statement, replaced(*where), property)


_LIMITS = (GaborConstraint, "forward")
_AXIS = (impulse_responses, "gabor_filters")
_WAVELET = (impulse_responses, "gabor_impulse_response")

FAULTS: tuple[Fault, ...] = (
    _fault("mu-unclamped", "clamp dropped", "filters", "direct",
           "the centre frequency is used as it is, also below 0 and above pi",
           (*_LIMITS, _constraint(mu=_free))),
    _fault("sigma-unclamped", "clamp dropped", "filters", "direct",
           "sigma is used as it is, also outside its box",
           (*_LIMITS, _constraint(sigma=_free))),
    _fault("sigma-clamp-widened", "clamp widened by 2", "filters", "direct",
           "sigma's box is [2, 2 window] sqrt(2 ln 2) / pi: a factor 2 of the full width at half maximum",
           (*_LIMITS, _constraint(sigma=lambda s, n: impulse_responses.clip(s, 2 * PER_SAMPLE, 2 * n * PER_SAMPLE)))),
    _fault("mu-clamped-at-3.14", "clamp of a wrong constant", "filters", "direct",
           "the highest centre frequency is 3.14, not pi",
           (*_LIMITS, _constraint(mu=lambda m, n: impulse_responses.clip(m, 0.0, 3.14)))),
    _fault("sigma-clamped-one-short", "clamp of a wrong constant", "filters", "direct",
           "sigma's upper limit is made of window - 1",
           (*_LIMITS, _constraint(sigma=lambda s, n: _sigma(s, n - 1)))),
    _fault("kernel-clamped-in-data", "clamp through .data", "kernel", "direct",
           "mu and sigma are clamped through .data: the same filters, but a gradient where the original has none",
           (*_LIMITS, _constraint_in_data), property="parameter gradient"),
    _fault("mu-tie-halved", "tie gradients", "kernel", "direct",
           "mu is limited by minimum and maximum against a tensor: half the gradient at 0 and at pi",
           (*_LIMITS, _constraint(mu=_mu_by_minimum)), property="parameter gradient"),
    _fault("sigma-tie-zeroed", "tie gradients", "kernel", "direct",
           "sigma has its gradient strictly inside of its box alone: none at the two limits",
           (*_LIMITS, _constraint(sigma=_sigma_inside)), property="parameter gradient"),
    _fault("time-axis-late", "time axis off by one at even size", "filters", "direct",
           "an even kernel is sampled from -(n / 2 - 1) to n / 2, one sample later than the original's",
           (*_AXIS, _sampled(_later))),
    _fault("time-axis-centred", "time axis off by one at even size", "filters", "direct",
           "an even kernel is sampled around its middle, half a sample later than the original's",
           (*_AXIS, _sampled(_centred))),
    _fault("window-made-odd", "time axis off by one at even size", "filters", "status",
           "an even window is made odd by leaving its last sample out",
           (frontend, "check_geometry", _odd_geometry)),
    _fault("conjugate", "conjugate", "filters", "direct",
           "exp(-i mu t): the imaginary part changes its sign, the energies stay",
           (*_WAVELET, _conjugate)),
    _fault("wavelet-unnormalised", "missing normalisation", "filters", "direct",
           "the wavelets lack 1 / (sqrt(2 pi) sigma)",
           (*_WAVELET, _unnormalised)),
    _fault("wavelet-normalised-by-root", "missing normalisation", "filters", "direct",
           "1 / sqrt(2 pi sigma) in place of 1 / (sqrt(2 pi) sigma)",
           (*_WAVELET, _root_of_sigma)),
    _fault("sigma-as-fwhm", "missing normalisation", "filters", "direct",
           "the argument called fwhm is taken at its word and divided by 2 sqrt(2 ln 2)",
           (*_WAVELET, _truly_fwhm)),
    _fault("wavelet-in-complex64", "reduced precision", "filters", "direct",
           "the wavelets are computed in complex64 whatever the dtype: seen in float64",
           (*_WAVELET, _in_complex64)),
    _fault("wavelet-in-halves", "reduced precision", "filters", "direct",
           "the wavelets pass through float16",
           (*_WAVELET, _in_halves)),
)  # fmt: skip
