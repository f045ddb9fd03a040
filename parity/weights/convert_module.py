"""Convert a frontend to one of another rung with the same numbers, or refuse and name what cannot be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import leaf
from og_leaf.postprocessing import InstanceNormalization
from parity.adapters import canonical
from parity.adapters.canonical import SIMPLIFIED, Variables, same_function
from parity.adapters.rungs import RUNGS, Adapter, reject_options, rung_of
from parity.oracle.arrays import Array
from parity.oracle.config import FLOOR, LOG_OFFSET, NORM_EPS, LeafConfig
from parity.weights.outputs import shown
from parity.weights.stored import APPROXIMATIONS, require_dtype


def convert(module: Any, to: str, *, dtype: str | None = None, **options: Any) -> Any:
    """Build a frontend of another rung that computes the same function, with the module's parameters.

    Up the ladder the geometry is kept: rungs 0 and 1 become ``leaf.Leaf(padding="same")``. To ``efficientleaf`` the
    default is one group at full rate, which is exact; ``num_groups``, ``conv_win_factor`` and ``stride_factor``
    choose an approximation instead.

    Args:
        module: a frontend of any rung (``leaf`` and ``efficientleaf`` with PCEN).
        to: ``"tf_leaf"``, ``"og_leaf"``, ``"leaf"`` or ``"efficientleaf"``.
        dtype: ``"float32"`` or ``"float64"``; the module's own by default.
        **options: ``padding="centered"`` accepts the other alignment of the frames where a rung is built so (rungs 2
            and 3); ``wrap=True`` puts what ``leaf`` and ``efficientleaf`` cannot hold (pre-emphasis, instance norm,
            log or no compression) around them as modules; ``learn_logs`` says whether the PCEN of these two learns
            logarithms, False if nothing is said; for ``efficientleaf`` also ``num_groups``, ``conv_win_factor``,
            ``stride_factor``.

    Returns:
        A new module; the given one is left as it is.

    Raises:
        TypeError: the module belongs to no rung.
        ValueError: ``to`` is no rung, an option is unknown, or the rung cannot hold the configuration or a value, or
            a value is outside of what logarithms and values share where ``learn_logs`` changes one into the other;
            the message names it.
    """
    if not isinstance(to, str) or to not in RUNGS:
        raise ValueError(f"to={shown(to)}: must be one of {tuple(RUNGS)}")
    source = rung_of(module).load_adapter()
    target = RUNGS[to].load_adapter()
    config = source.config(module)
    _require_carried(module)
    variables = canonical.canonical(source.read(module))  # refuses NaN and infinity
    dtype = str(variables["kernel"].dtype) if dtype is None else dtype
    require_dtype(dtype)
    variables = same_function(source.rung, to, variables, config.window)
    if "padding" in options:
        config = config.with_(padding=options.pop("padding"))
    if to == "efficientleaf" and not set(APPROXIMATIONS) & set(options):
        reject_options(to, {name: options[name] for name in options if name == "exact_for"}, tuple(APPROXIMATIONS))
        options["exact_for"] = variables
    learn_logs = options.pop("learn_logs", None) if to in SIMPLIFIED else None
    if options.pop("wrap", False) and to in SIMPLIFIED:
        built = _wrapped(target, config, variables, dtype, **options)
        inside: Any = built.frontend
    else:
        built = inside = target.build(config, dtype=dtype, **options)
        target.write(built, variables)
    if learn_logs is not None:
        if not isinstance(inside.compression, leaf.PCEN):
            raise ValueError(
                f"learn_logs={learn_logs!r}: {type(inside.compression).__name__} has no parameters to learn"
            )
        # its parameters straight from the module's where this has the same
        own = getattr(module, "compression", None)
        pcen = own if isinstance(own, leaf.PCEN) else inside.compression
        inside.compression = relearned(pcen, learn_logs, dtype).eval()
    return built


def _require_carried(module: Any) -> None:
    """Refuse a module whose PCEN has what no configuration says, and what another rung would not have.

    That is a floor of the energies that is not LEAF's, or learned logarithms beyond the limits of the parameters.
    """
    pcen: Any = getattr(module, "compression", None)
    if not hasattr(pcen, "learn_logs"):
        return
    if pcen.clamp != FLOOR:
        raise ValueError(f"compression.clamp={pcen.clamp!r}: must be {FLOOR:g}, as in LEAF, to be carried")
    if pcen.learn_logs:
        for name in ("alpha", "r"):
            largest = float(getattr(pcen, name).detach().exp().max())
            if largest > 1:
                raise ValueError(
                    f"compression.{name}: value {largest:g}: must be at most 1, where other rungs limit it"
                )


def _wrapped(target: Adapter, config: LeafConfig, variables: Variables, dtype: str, **options: Any) -> Wrapped:
    """Build the rung for what it can hold and put the rest around it; the fixed smoother has no place there."""
    if config.compression == "fixed_pcen":
        raise ValueError("compression='fixed_pcen': must be 'pcen', 'log' or 'none' to be wrapped")
    inside = config.with_(preemp=False, mean_var_norm=False, compression="pcen")
    held = dict(variables)

    def tensor(name: str) -> torch.Tensor:
        return torch.as_tensor(held.pop(name)).to(getattr(torch, dtype))

    preemp = Preemphasis(tensor(canonical.PREEMP)) if config.preemp else nn.Identity()
    norm: nn.Module = nn.Identity()
    if config.mean_var_norm:
        norm = InstanceNormalization(config.n_filters, NORM_EPS)
        norm.weight, norm.bias = (nn.Parameter(tensor(name)) for name in (canonical.GAMMA, canonical.BETA))
    frontend = target.build(inside, dtype=dtype, **options)
    if config.compression == "pcen":
        target.write(frontend, held)
    else:
        target.write(frontend, {**target.read(frontend), **held})
        frontend.compression = Floored(log=config.compression == "log")
    return Wrapped(preemp, frontend, norm).eval()


class Wrapped(nn.Module):
    """A frontend of rung 2 or 3 with what it cannot hold around it: [B, T] or [B, 1, T] -> [B, C, frames].

    Attributes:
        preemp: before the frontend, or the identity.
        frontend: the rung's own module.
        norm: after it, or the identity.
    """

    def __init__(self, preemp: nn.Module, frontend: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.preemp = preemp
        self.frontend = frontend
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the features."""
        out: torch.Tensor = self.norm(self.frontend(self.preemp(x)))
        return out


class Preemphasis(nn.Module):
    """``k[0] x[n] + k[1] x[n+1]``: [B, T] or [B, 1, T] -> [B, 1, T]; non-causal, as the original's SAME pads it.

    Source: ``Leaf.__init__`` and ``PreempInit`` in the original's ``frontend.py`` and ``initializers.py``.
    """

    def __init__(self, kernel: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(kernel.reshape(1, 1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Emphasise audio of at least one sample."""
        x = x if x.ndim == 3 else x[:, None]
        return nn.functional.conv1d(nn.functional.pad(x, (0, 1)), self.weight)


class Floored(nn.Module):
    """``max(x, 1e-5)``, or ``log(max(x, 1e-5) + 1e-5)``: any shape; the original's floor and ``log_compression``."""

    def __init__(self, log: bool) -> None:
        super().__init__()
        self.log = log

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Limit energies from below; compress them."""
        x = x.clamp(min=FLOOR)
        return torch.log(x + LOG_OFFSET) if self.log else x


PARAMETERS = ("s", "alpha", "delta", "r")


def relearned(pcen: leaf.PCEN, learn_logs: bool, dtype: str | None = None) -> leaf.PCEN:
    """Make the same PCEN, with its parameters held as logarithms or as values.

    Args:
        pcen: left as it is.
        learn_logs: of the new one; what is held so already is copied, wherever it lies.
        dtype: of the new one, ``"float32"`` or ``"float64"``; the given one's by default.

    Raises:
        ValueError: ``learn_logs`` is no bool; or as :func:`to_logarithms` and :func:`to_values`.
    """
    if not isinstance(learn_logs, bool):
        raise ValueError(f"learn_logs={learn_logs!r}: must be True or False")
    held = {name: getattr(pcen, name).detach().cpu().numpy() for name in PARAMETERS}
    if learn_logs != pcen.learn_logs:
        held = (to_logarithms if learn_logs else to_values)(held, dtype)
    new = leaf.PCEN(pcen.num_bands, eps=pcen.eps, learn_logs=learn_logs, clamp=pcen.clamp, form=pcen.form)
    new.to(pcen.s.device, getattr(torch, dtype) if dtype else pcen.s.dtype)
    with torch.no_grad():
        for name, value in held.items():
            getattr(new, name).copy_(torch.as_tensor(value))
    return new.train(pcen.training)


def to_logarithms(linear: Mapping[str, Array], dtype: str | None = None) -> Variables:
    """Turn what ``learn_logs=False`` holds into what ``learn_logs=True`` does.

    Args:
        linear: s and alpha in (0, 1], delta > 0, and r, the root's inverse, >= 1; arrays of float32 or float64.
        dtype: of the result; that of each array by default.

    Returns:
        Logarithms, that of ``r`` being of the root; in the shapes given.

    Raises:
        ValueError: a parameter is missing, or a value is outside of these ranges; names it.
    """
    wide = _wide(linear)
    for name in ("s", "alpha"):
        _require(name, wide[name], (wide[name] > 0) & (wide[name] <= 1), "must lie in (0, 1]")
    _require("delta", wide["delta"], (wide["delta"] > 0) & np.isfinite(wide["delta"]), "must be above 0, and finite")
    inverse = (wide["r"] >= 1) & np.isfinite(wide["r"])
    _require("r", wide["r"], inverse, "must be at least 1, and finite: the root is 1 / r, limited to 1")
    return {n: _rounded(-np.log(v) if n == "r" else np.log(v), dtype or linear[n].dtype) for n, v in wide.items()}


def to_values(logarithms: Mapping[str, Array], dtype: str | None = None) -> Variables:
    """Turn what ``learn_logs=True`` holds into what ``learn_logs=False`` does.

    Args:
        logarithms: of s, alpha and the root, <= 0, and of delta; arrays of float32 or float64.
        dtype: of the result; that of each array by default.

    Returns:
        s, alpha, delta, and r, the root's inverse; in the shapes given.

    Raises:
        ValueError: a parameter is missing, or the value that a logarithm stands for is outside of the shared domain or
            of the normal numbers of its dtype; names it.
    """
    wide = _wide(logarithms)
    for name in ("s", "alpha", "r"):
        _require(name, wide[name], wide[name] <= 0, "must be at most 0, the logarithm of a value in (0, 1]")
    with np.errstate(over="ignore"):
        values = {n: _rounded(np.exp(-v if n == "r" else v), dtype or logarithms[n].dtype) for n, v in wide.items()}
    for name, value in values.items():
        normal = (value >= np.finfo(value.dtype).tiny) & np.isfinite(value)
        _require(name, wide[name], normal, f"its exponential must be a normal number of {value.dtype}")
    return values


def _wide(parameters: Mapping[str, Array]) -> Variables:
    if missing := [name for name in PARAMETERS if name not in parameters]:
        raise ValueError(f"parameters: missing {missing}, must be {list(PARAMETERS)}")
    return {name: np.asarray(parameters[name], dtype=np.float64) for name in PARAMETERS}


def _rounded(value: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return value.astype(dtype)


def _require(name: str, values: Array, allowed: NDArray[np.bool_], what: str) -> None:
    if not np.all(allowed):
        outside = values[~allowed].flat[0]
        raise ValueError(f"compression.{name}: value {outside:g}: {what}")
