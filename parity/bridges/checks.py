"""What bridges refuse, and what rungs 0 and 1 have in common. Imports no framework."""

from __future__ import annotations

from typing import Any

from parity.config import LeafConfig


def reject_options(rung: str, options: dict[str, Any], allowed: tuple[str, ...] = ()) -> None:
    """Refuse the options that a rung does not have.

    Raises:
        ValueError: one that is not allowed is given.
    """
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise ValueError(f"options={unknown}: {rung} allows {list(allowed) or 'none'}")


def require_same_padding(rung: str, config: LeafConfig) -> None:
    """Rungs 0 and 1 have TensorFlow's geometry alone.

    Raises:
        ValueError: the configuration is another.
    """
    if config.padding != "same":
        raise ValueError(
            f"padding={config.padding!r}: {rung} holds padding='same' alone; pass padding='same' to accept frames "
            "that are aligned otherwise"
        )


def config_of_original(module: Any, compression: dict[str, Any], preemp: bool) -> LeafConfig:
    """The configuration of a module with the original's attributes (rungs 0 and 1)."""
    return LeafConfig(
        n_filters=module.n_filters,
        sample_rate=module.sample_rate,
        window_len=module.window_len,
        window_stride=module.window_stride,
        padding="same",
        preemp=preemp,
        mean_var_norm=module._instance_norm is not None,
        **compression,
    )


def compression_of(compress: Any, pcen: type, learned: bool, n_smooth: int, log: Any, none: bool) -> dict[str, Any]:
    """The configuration's compression fields of a module of rung 0 or 1.

    Raises:
        ValueError: the compression is none that the hub knows.
    """
    if isinstance(compress, pcen):
        floor = float(compress._floor)  # type: ignore[attr-defined]
        if not learned:
            return {"compression": "fixed_pcen", "pcen_floor": floor}
        return {"compression": "pcen", "per_channel_smooth": n_smooth > 1, "pcen_floor": floor}
    if compress is log:
        return {"compression": "log"}
    if none:
        return {"compression": "none"}
    raise ValueError(f"compression_fn={compress!r}: must be a PCENLayer, log_compression or None to be carried")
