"""Convert a frontend to one of another rung with the same numbers, or refuse and name what cannot be kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from parity.adapters import canonical
from parity.adapters.canonical import Variables
from parity.adapters.refusals import SIMPLIFIED, require_carried, same_function
from parity.adapters.rungs import RUNGS, Adapter, reject_options, rung_of
from parity.oracle.config import LeafConfig
from parity.weights.outputs import shown
from parity.weights.pcen_logarithms import relearned
from parity.weights.stored import APPROXIMATIONS, require_dtype
from parity.weights.wrapping_modules import Floored, Preemphasis, TimeNorm, Wrapped


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
    require_carried(module)
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
        import leaf

        if not isinstance(inside.compression, leaf.PCEN):
            raise ValueError(
                f"learn_logs={learn_logs!r}: {type(inside.compression).__name__} has no parameters to learn"
            )
        # its parameters straight from the module's where this has the same
        own = getattr(module, "compression", None)
        pcen = own if isinstance(own, leaf.PCEN) else inside.compression
        inside.compression = relearned(pcen, learn_logs, dtype).eval()
    return built


def _wrapped(target: Adapter, config: LeafConfig, variables: Variables, dtype: str, **options: Any) -> Wrapped:
    """Build the rung for what it can hold and put the rest around it; the fixed smoother has no place there."""
    if config.compression == "fixed_pcen":
        raise ValueError("compression='fixed_pcen': must be 'pcen', 'log' or 'none' to be wrapped")
    inside = config.with_(preemp=False, mean_var_norm=False, compression="pcen")
    held = dict(variables)

    def tensor(name: str) -> torch.Tensor:
        return torch.as_tensor(held.pop(name)).to(getattr(torch, dtype))

    preemp = Preemphasis(tensor(canonical.PREEMP)) if config.preemp else nn.Identity()
    norm = TimeNorm(tensor(canonical.GAMMA), tensor(canonical.BETA)) if config.mean_var_norm else nn.Identity()
    frontend = target.build(inside, dtype=dtype, **options)
    if config.compression == "pcen":
        target.write(frontend, held)
    else:
        target.write(frontend, {**target.read(frontend), **held})
        frontend.compression = Floored(log=config.compression == "log")
    return Wrapped(preemp, frontend, norm).eval()
