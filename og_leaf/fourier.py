"""Convolution by Fourier transforms, with the original's wrap-around. Source: ``leaf_audio/convolution.py``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from og_leaf.checks import MOST_SAMPLES, check_count, shown
from og_leaf.initializers import Device, Initializer
from og_leaf.inputs import check_tensor
from og_leaf.keras_layers import Conv1D
from og_leaf.padding import open_ended
from og_leaf.regularizers import Regularizer


def upper_power_of_2(length: int) -> int:
    """The next power of two, through logarithms in float32 as in the original, which are not exact.

    Up to 2^21 samples they give the exact answer; from 2^21 + 1 on, a length just above a power of two gives that
    power, which is too short for it.

    Args:
        length: samples, 1 to 2**30.

    Raises:
        TypeError: not an integer.
        ValueError: out of this range.

    Source: ``leaf_audio/convolution.py``.
    """
    length = check_count("length", length, 2**30)
    # tensors of no dimensions on the CPU, whatever the default device: the library's scalar logarithm decides
    number = torch.tensor(float(length), dtype=torch.float32, device="cpu")
    two = torch.tensor(2.0, dtype=torch.float32, device="cpu")
    return int(2 ** torch.ceil(torch.log(number) / torch.log(two)))


def rfft(x: Tensor, n: int) -> Tensor:
    """``torch.fft.rfft(x, n)``, of no clips too, at which the libraries fail."""
    if torch.compiler.is_compiling() or x.numel():
        spectrum: Tensor = torch.fft.rfft(x, n=n)
        return spectrum
    padded = torch.nn.functional.pad(x, (0, n - x.shape[-1]))[..., : n // 2 + 1]
    return torch.complex(padded, padded)


def irfft(x: Tensor) -> Tensor:
    """``torch.fft.irfft(x)``, of no clips too."""
    if torch.compiler.is_compiling() or x.numel():
        signal: Tensor = torch.fft.irfft(x)
        return signal
    return torch.nn.functional.pad(x.real, (0, x.shape[-1] - 2))


def fft_conv1d(inputs: Tensor, filters: Tensor) -> tuple[Tensor, Tensor]:
    """Correlates a mono signal with filters, circularly over ``n = upper_power_of_2(T)`` samples.

    The output at t is ``sum_k x[(t - (W // 2 - 1) + k) mod n] h[k]`` with zeros behind the signal: one sample earlier
    than SAME padding for odd W, as SAME for even W, but for what wraps around. Filters longer than n are cut at n.

    Args:
        inputs: [B, 1, T], T at least 2.
        filters: [C, 1, W].

    Returns:
        [B, C, T], and the sum of the magnitudes of the filters' spectra, a tensor of no dimensions.

    Raises:
        ValueError: another rank, more than one input channel, fewer than 2 samples, or a length whose power of two is
            too short (see :func:`upper_power_of_2`); in a graph that is exported, a length that is not fixed.

    Source: ``leaf_audio/convolution.py``.
    """
    _check(inputs, filters)
    if open_ended(inputs):
        raise ValueError(
            f"inputs of shape {tuple(inputs.shape)}: in an exported graph the length of a Fourier transform cannot "
            "follow that of the audio, which must be fixed: leave the samples out of dynamic_shapes"
        )
    n_samples, n_taps = inputs.shape[-1], filters.shape[-1]
    n = upper_power_of_2(n_samples)
    if n < max(n_samples, 2):
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}: must have at least 2 samples, and no more than {n}")
    spectra = torch.fft.rfft(filters.transpose(0, 1), n=n)  # [1, C, n // 2 + 1]
    products = rfft(inputs, n) * spectra.conj()
    outputs = irfft(products).roll(n_taps // 2 - 1, dims=-1)
    return outputs[..., :n_samples], spectra.abs().sum()


def overlap_add_conv1d(inputs: Tensor, filters: Tensor, fft_length: int = 4096) -> Tensor:
    """Correlates a mono signal with filters, block by block of ``fft_length - W + 1`` samples.

    Blocks wrap around where the padding of ``2 ((W - 1) // 2)`` does not reach, as in the original; away from the edges
    of blocks the output is that of SAME padding.

    Args:
        inputs: [B, 1, T].
        filters: [C, 1, W].
        fft_length: of the transforms, in samples, at least W and 2.

    Returns:
        [B, C, T].

    Raises:
        ValueError: another rank, more than one input channel, no samples, or transforms shorter than the filters.

    Source: ``leaf_audio/convolution.py``.
    """
    _check(inputs, filters)
    n_samples, n_taps = inputs.shape[-1], filters.shape[-1]
    fft_length = check_count("fft_length", fft_length, MOST_SAMPLES, least=2)
    step = fft_length - n_taps + 1
    if step < 1:
        raise ValueError(f"fft_length={fft_length!r}: must be at least 2 and the filters' {n_taps} taps")
    n_blocks = -(-n_samples // step)
    padded = torch.nn.functional.pad(inputs, (0, n_blocks * step - n_samples))
    margin = (n_taps - 1) // 2
    blocks = torch.nn.functional.pad(padded.reshape(-1, 1, n_blocks, step), (margin, margin))
    spectra = torch.fft.rfft(filters.transpose(0, 1), n=fft_length).unsqueeze(2)  # [1, C, 1, bins]
    products = rfft(blocks, fft_length) * spectra.conj()
    pieces = irfft(products).roll(n_taps // 2 - 1, dims=-1)  # an odd length comes back one shorter
    outputs = _overlap_and_add(pieces, step)[..., :n_samples]
    return outputs.roll(1 - n_taps // 2, dims=-1)


def _overlap_and_add(pieces: Tensor, step: int) -> Tensor:
    """Adds pieces [B, C, F, W] up, each ``step`` samples behind the one before: [B, C, (F - 1) step + W]."""
    batch, channels, n_pieces, width = pieces.shape
    columns = pieces.reshape(batch * channels, n_pieces, width).transpose(1, 2)
    length = (n_pieces - 1) * step + width
    summed = torch.nn.functional.fold(columns, (1, length), (1, width), stride=(1, step))
    return summed.reshape(batch, channels, length)


def _check(inputs: Tensor, filters: Tensor) -> None:
    check_tensor("filters", filters)
    check_tensor("inputs", inputs)
    if inputs.dtype != filters.dtype or inputs.device != filters.device:
        found = ", ".join(f"{n} of {t.dtype} on {t.device}" for n, t in (("inputs", inputs), ("filters", filters)))
        raise TypeError(f"{found}: must be of one dtype and device")
    for name, value, words in (("inputs", inputs, "[batch, 1, samples]"), ("filters", filters, "[filters, 1, taps]")):
        shape = tuple(value.shape)
        if len(shape) != 3 or shape[1] != 1 or shape[2] == 0:
            raise ValueError(f"{name} of shape {shape}: must be {words}, not empty")


class FFTConv1D(Conv1D):
    """:class:`og_leaf.Conv1D` by :func:`fft_conv1d`, which is not the same: ``strides`` and ``padding`` are ignored.

    With a regulariser, its ``l1`` also counts the filters' spectra, as long as the last input's transform; before the
    first input there is no such term. Parameters and arguments are those of :class:`og_leaf.Conv1D`.

    Raises:
        TypeError: as there; a regulariser without an ``l1``.
        ValueError: as there; more than one input channel; ``padding="causal"``, which the original fails at.

    Source: ``leaf_audio/convolution.py``.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "valid",
        use_bias: bool = True,
        input_shape: Any = None,
        kernel_initializer: Initializer | None = None,
        kernel_regularizer: Regularizer | None = None,
        name: str | None = None,
        trainable: bool = True,
        activation: Any = None,
        num_channels: int = 1,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, use_bias, input_shape, kernel_initializer, kernel_regularizer, name,
            trainable, activation, num_channels, device, dtype,
        )  # fmt: skip
        if num_channels != 1:
            raise ValueError(f"num_channels={num_channels!r}: must be 1")
        if self._padding == "CAUSAL":
            raise ValueError(f"padding={padding!r}: must be 'same' or 'valid'")
        if kernel_regularizer is not None and not hasattr(kernel_regularizer, "l1"):
            raise TypeError(f"kernel_regularizer={shown(kernel_regularizer)}: must have an l1, as L1 and L1L2 do")
        self._n_last = 0  # samples of the last input

    def convolve(self, inputs: Tensor) -> Tensor:
        """[B, 1, T] to [B, C, T], without bias."""
        self._n_last = inputs.shape[-1]
        return fft_conv1d(inputs, self.weight)[0]

    def regularization_loss(self) -> Tensor:
        """The penalty on the kernel, and ``l1`` times the sum of the magnitudes of its spectra; no dimensions."""
        penalty = super().regularization_loss()
        if self.kernel_regularizer is None or self._n_last == 0:
            return penalty
        spectra = torch.fft.rfft(self.weight, n=upper_power_of_2(self._n_last))
        l1: float = self.kernel_regularizer.l1  # type: ignore[attr-defined]
        on_spectra: Tensor = l1 * spectra.abs().sum()
        return penalty + on_spectra
