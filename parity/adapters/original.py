"""Configurations of rungs 0 and 1, which have the original's arguments, and what they refuse. Imports no framework."""

from __future__ import annotations

from typing import Any

from parity.oracle.config import LeafConfig

GEOMETRY = ("n_filters", "sample_rate", "window_len", "window_stride")


def arguments_of(config: LeafConfig) -> dict[str, Any]:
    """Return the arguments of ``Leaf`` that the two rungs share, but for the compression."""
    return {name: getattr(config, name) for name in (*GEOMETRY, "preemp", "mean_var_norm")}


def built_compression(config: LeafConfig, pcen: Any, log: Any, **own: Any) -> Any:
    """Build a compression with LEAF's values, the inverse of :func:`config_of_original`.

    It is the rung's ``PCENLayer``, with its ``own`` further arguments, or its ``log_compression``, or None.
    """
    if config.compression == "none":
        return None
    if config.compression == "log":
        return log
    return pcen(
        alpha=0.96, smooth_coef=0.04, delta=2.0, floor=config.pcen_floor, trainable=True,
        learn_smooth_coef=config.compression == "pcen", per_channel_smooth_coef=config.per_channel_smooth, **own,
    )  # fmt: skip


def config_of_original(module: Any, pcen: type, n_smooth: int | None, log: Any, none: bool, preemp: bool) -> LeafConfig:
    """Read the configuration of a module of rung 0 or 1, which has LEAF's own filters and pooling.

    Args:
        module: the frontend.
        pcen, log: the rung's ``PCENLayer`` and ``log_compression``.
        n_smooth: smoothing coefficients that are learned; None where the smoother is fixed.
        none: whether there is no compression.
        preemp: whether there is a pre-emphasis.

    Raises:
        ValueError: the compression is unknown, or as :func:`require_leaf`.
    """
    require_leaf(module)
    own: dict[str, Any] = {name: getattr(module, name) for name in GEOMETRY}
    own.update(padding="same", preemp=preemp, mean_var_norm=module._instance_norm is not None)
    compress = module._compress_fn
    if isinstance(compress, pcen):
        own["pcen_floor"] = float(compress._floor)  # type: ignore[attr-defined]
        if n_smooth is None:
            return LeafConfig(**own, compression="fixed_pcen")
        return LeafConfig(**own, compression="pcen", per_channel_smooth=n_smooth > 1)
    if compress is not log and not none:
        raise ValueError(f"compression_fn={compress!r}: must be a PCENLayer, log_compression or None to be carried")
    return LeafConfig(**own, compression="none" if none else "log")


def require_same_padding(rung: str, config: LeafConfig) -> None:
    """Refuse with a ValueError another geometry than TensorFlow's, which rungs 0 and 1 have alone."""
    if config.padding != "same":
        raise ValueError(
            f"padding={config.padding!r}: {rung} holds padding='same' alone; pass padding='same' to accept frames "
            "that are aligned otherwise"
        )


def require_leaf(module: Any) -> None:
    """Refuse with a ValueError other filters, activation or pooling than LEAF's; names the part and what is allowed."""
    parts = {"_complex_conv": "GaborConv1D", "_activation": "SquaredModulus", "_pooling": "GaussianLowpass"}
    for name, allowed in parts.items():
        found = getattr(module, name, None)
        if allowed not in {cls.__name__ for cls in type(found).__mro__}:
            shown = type(found).__name__ if found is not None else "none"
            raise ValueError(
                f"{type(module).__name__} with {name}={shown}: must have {allowed} to be carried as LEAF; load_weights "
                "carries other frontends between og_leaf and tf_leaf"
            )
