"""Canonical names: LEAF's variables by the original's names and shapes, as NumPy arrays.

Every adapter maps a rung's parameters to and from these names, so any rung can be loaded from any other and from
the original's own checkpoints; :func:`same_function` refuses what is not carried. NumPy alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parity.oracle.config import LeafConfig

Variables = dict[str, NDArray[Any]]
SIMPLIFIED = ("leaf", "efficientleaf")
LEAST_WINDOW = 4  # samples, where [4, window] and [2 / window, 0.5] are ranges

RNN = "PCEN/simple_rnn/simple_rnn_cell/"
KERNEL = "kernel"
POOLING = "learnable_pooling/kernel"
ALPHA, DELTA, ROOT, SMOOTH = "PCEN/alpha", "PCEN/delta", "PCEN/root", "PCEN/EMA/smooth"
RNN_KERNEL, RNN_RECURRENT = RNN + "kernel", RNN + "recurrent_kernel"
PREEMP = "tfbanks_preemp/kernel"
GAMMA, BETA = "tfbanks_instancenorm/gamma", "tfbanks_instancenorm/beta"
# of the other frontends: Keras' own convolutions and layer normalisation carry their layers' names
CONV, POOLING_2D = "tfbanks_complex_conv/kernel", "learnable_pooling/conv2d/kernel"
NORM_GAMMA, NORM_BETA = "layer_normalization/gamma", "layer_normalization/beta"
_NUMBERED = re.compile(r"\b(simple_rnn|simple_rnn_cell|conv2d|layer_normalization)_\d+(?=/)")
_ALL = (
    POOLING, ALPHA, DELTA, ROOT, SMOOTH, RNN_KERNEL, RNN_RECURRENT, PREEMP, GAMMA, BETA, CONV, POOLING_2D, NORM_GAMMA,
    NORM_BETA,
)  # fmt: skip


def expected_shapes(config: LeafConfig) -> dict[str, tuple[int, ...]]:
    """List name and shape of every variable of a frontend, as the original's checkpoint holds them."""
    n = config.n_filters
    shapes: dict[str, tuple[int, ...]] = {KERNEL: (n, 2), POOLING: (1, 1, n, 1)}
    if config.compression in ("pcen", "fixed_pcen"):
        shapes.update({ALPHA: (n,), DELTA: (n,), ROOT: (n,)})
    if config.compression == "pcen":
        shapes[SMOOTH] = (n if config.per_channel_smooth else 1,)
    if config.compression == "fixed_pcen":
        shapes.update({RNN_KERNEL: (n, n), RNN_RECURRENT: (n, n)})
    if config.preemp:
        shapes[PREEMP] = (2, 1, 1)
    if config.mean_var_norm:
        shapes.update({GAMMA: (n,), BETA: (n,)})
    return shapes


def canonical_name(name: str) -> str:
    """Find the canonical name of a variable: ``leaf/PCEN/alpha:0`` is ``PCEN/alpha``; unknown names only lose ``:0``.

    The original's Gabor parameters carry no scope (``kernel:0``); one leading scope, or the layer's own name
    ``tfbanks_complex_conv``, is accepted before it. Keras numbers the fixed smoothers of one process
    (``simple_rnn_1``); the number is left out.
    """
    if known := suffix(name):
        return KERNEL if known == CONV else known
    plain = _plain(name)
    parts = plain.split("/")
    return KERNEL if parts[-1] == KERNEL and len(parts) <= 2 else plain


def suffix(name: str) -> str:
    """Find the canonical name that a full name ends in, or nothing: ``model/leaf/PCEN/alpha:0`` ends in ``PCEN/alpha``.

    A kernel counts where its layer's name, ``tfbanks_complex_conv``, stands before it.
    """
    plain = _plain(name)
    return next((known for known in _ALL if plain == known or plain.endswith("/" + known)), "")


def _plain(name: str) -> str:
    """Return a full name without ``:0`` and the numbers that Keras gives layers."""
    return _NUMBERED.sub(r"\1", name.split(":")[0].strip("/"))


def canonical(source: Mapping[str, Any]) -> Variables:
    """Put a mapping under canonical names.

    Raises:
        TypeError: a value is no numeric array, or complex; or a name is no string.
        ValueError: two names mean the same variable, or a value is NaN or infinite.
    """
    out: Variables = {}
    origin: dict[str, str] = {}
    for name, value in source.items():
        if not isinstance(name, str):
            raise TypeError(f"variable {name!r}: the name must be a string, such as {ALPHA!r}")
        known = canonical_name(name)
        if known in out:
            raise ValueError(f"variables {origin[known]!r} and {name!r} both name {known!r}: give it once")
        try:
            array = widened(np.asarray(value))
        except Exception as error:
            raise TypeError(f"variable {name!r}: must be a numeric array, got {type(value).__name__}") from error
        require_finite(name, array)
        # float32 or float64, which every framework takes, and in an array of its own, which may be written to
        out[known] = np.array(array, dtype=None if array.dtype in (np.float32, np.float64) else np.float64)
        origin[known] = name
    return out


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """Make values of ``bfloat16`` and ``float8``, for which NumPy has no types, float32; leave others as they are."""
    return array.astype(np.float32) if array.dtype.name.startswith(("bfloat", "float8")) else array


def require_finite(name: str, array: NDArray[Any]) -> None:
    """Refuse with a TypeError or ValueError what is no array of finite real numbers; names the variable."""
    if array.dtype.kind not in "fiu":
        raise TypeError(f"variable {name!r}: must be real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"variable {name!r}: must be finite, got {bad}")


def require_fit(name: str, array: NDArray[Any], dtype: str) -> None:
    """Refuse with a ValueError values that are finite, but not in the module's dtype; names variable and value."""
    # bfloat16, which NumPy does not know, has float32's exponents
    largest = float(np.finfo(dtype).max) if dtype != "bfloat16" else 2.0**127 * (2 - 2.0**-7)
    found = float(np.abs(array).max(initial=0))
    if found > largest:
        raise ValueError(f"variable {name!r}: value {found}: must be at most {largest:.6g}, the largest {dtype}")


def checked(source: Mapping[str, Any], wanted: LeafConfig | Mapping[str, tuple[int, ...]]) -> Variables:
    """Return the variables of exactly this configuration, under canonical names.

    Args:
        source: by any of their names.
        wanted: the configuration, or shapes by canonical name. Where these have ``tfbanks_complex_conv/kernel`` (Keras'
            own convolution), a plain ``kernel`` is taken for it.

    Raises:
        TypeError: as :func:`canonical`.
        ValueError: a variable is missing, not expected, or of another shape; or as :func:`canonical`.
    """
    variables = canonical(source)
    shapes = expected_shapes(wanted) if isinstance(wanted, LeafConfig) else dict(wanted)
    if CONV in shapes and CONV not in variables and KERNEL in variables:
        variables[CONV] = variables.pop(KERNEL)
    require_match(variables, shapes)
    return variables


def require_match(held: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse with a ValueError arrays that have not exactly these names and shapes; names what is wrong."""
    missing, extra = sorted(set(shapes) - set(held)), sorted(set(held) - set(shapes))
    if missing or extra:
        raise ValueError(
            f"variables do not match the module: missing {missing or 'none'}, not expected {extra or 'none'}; "
            f"allowed are {sorted(shapes)}"
        )
    for name, shape in shapes.items():
        if held[name].shape != shape:
            raise ValueError(f"variable {name!r}: shape {held[name].shape}, must be {shape}")


def same_function(source: str, to: str, variables: Variables, window: int) -> Variables:
    """Find the variables with which ``to`` computes what ``source`` does, across the step where limits change.

    Limits of the filterbank cross in windows under four samples, where the original has the lower one and simplified
    LEAF the upper. The original limits the smoothing coefficient to [0, 1] and leaves delta free (a negative one is
    NaN); simplified LEAF limits delta to at least 0 and leaves the smoothing coefficient free. A value that the source
    limits is carried as the limit.

    Args:
        source: a rung, or ``original``.
        to: a rung.
        variables: checked, by canonical name.
        window: samples in a window.

    Raises:
        ValueError: a value that the target would limit and the source does not, or a window in which limits cross;
            names it.
    """
    if (source in SIMPLIFIED) == (to in SIMPLIFIED):
        return variables
    if window < LEAST_WINDOW:
        raise ValueError(
            f"window_len: must be at least {LEAST_WINDOW} samples, not {window}, to be carried from {source} to {to}: "
            "in shorter windows the limits of sigma and of the pooling width cross, and the two take other ends of them"
        )
    if SMOOTH not in variables:
        return variables
    delta, smooth = variables[DELTA], variables[SMOOTH]
    if to in SIMPLIFIED:
        if delta.min() < 0:
            raise ValueError(f"variable {DELTA!r}: value {delta.min()}: must be at least 0, {to} limits it there")
        return {**variables, SMOOTH: np.clip(smooth, 0.0, 1.0)}
    outside = smooth[(smooth < 0) | (smooth > 1)]
    if outside.size:
        raise ValueError(f"variable {SMOOTH!r}: value {outside[0]}: must lie in [0, 1], {to} limits it there")
    return {**variables, DELTA: np.maximum(delta, 0.0)}
