"""``convert``: a frontend of another rung with the same numbers, or a refusal that says what cannot be kept."""

from __future__ import annotations

from typing import Any

from parity.adapters.canonical import canonical
from parity.adapters.refusals import SIMPLIFIED, reject_options, require_carried, same_function
from parity.adapters.rungs import RUNGS, rung_of

APPROXIMATIONS = ("num_groups", "conv_win_factor", "stride_factor")


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
        raise ValueError(f"to={to!r}: must be one of {tuple(RUNGS)}")
    source = rung_of(module).load_adapter()
    target = RUNGS[to].load_adapter()
    config = source.config(module)
    require_carried(module)
    variables = canonical(source.read(module))  # refuses NaN and infinity
    dtype = dtype or str(variables["kernel"].dtype)
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r}: must be 'float32' or 'float64'")
    variables = same_function(source.rung, to, variables, config.window)
    if "padding" in options:
        config = config.with_(padding=options.pop("padding"))
    if to == "efficientleaf" and not set(APPROXIMATIONS) & set(options):
        reject_options(to, {name: options[name] for name in options if name == "exact_for"}, APPROXIMATIONS)
        options["exact_for"] = variables
    learn_logs = options.pop("learn_logs", None) if to in SIMPLIFIED else None
    if options.pop("wrap", False) and to in SIMPLIFIED:
        from parity.weights.wrapped import wrapped

        built = wrapped(target, config, variables, dtype, **options)
        inside: Any = built.frontend
    else:
        built = inside = target.build(config, dtype=dtype, **options)
        target.write(built, variables)
    if learn_logs is not None:
        inside.compression = _relearned(module, inside, learn_logs, dtype)
    return built


def _relearned(module: Any, built: Any, learn_logs: bool, dtype: str) -> Any:
    """The compression of what was built, its parameters straight from the module's where this has the same."""
    import leaf
    from parity.weights.logs import relearned

    if not isinstance(built.compression, leaf.PCEN):
        raise ValueError(f"learn_logs={learn_logs!r}: {type(built.compression).__name__} has no parameters to learn")
    own = getattr(module, "compression", None)
    pcen = own if isinstance(own, leaf.PCEN) else built.compression
    return relearned(pcen, learn_logs, dtype).eval()
