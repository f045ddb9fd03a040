"""A converted frontend as two files: its state dict in ``.safetensors``, and the configuration as JSON beside it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.bridges.frontends import FrontendConfig, build

if TYPE_CHECKING:
    from torch import nn

FORMAT = "leaf-ladder frontend"
VERSION = 1


def beside(path: Path) -> Path:
    """Where the configuration of a file of weights lies."""
    return path.with_suffix(".json")


def write(path: Path, module: nn.Module, config: FrontendConfig, rung: str, options: dict[str, Any]) -> None:
    """Write a frontend; both files are made beside and moved into place when they are whole.

    Args:
        path: of the weights, ending in ``.safetensors``.
        module: the rung's, or what ``convert(..., wrap=True)`` made.
        config: what it was converted from.
        rung: the module's.
        options: those of ``convert`` that lead from one to the other.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        ValueError: another suffix.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"target={str(path)!r}: must end in .safetensors")
    save = _safetensors().save
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    dtype = next((str(tensor.dtype).removeprefix("torch.") for tensor in state.values()), "float32")
    data = save(state, metadata={"format": "pt"})
    about = {
        "format": FORMAT, "version": VERSION, "rung": rung, "dtype": dtype, "config": config.as_dict(),
        "options": options, "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    text = json.dumps(about, indent=1, allow_nan=False) + "\n"
    new = {target.with_name(target.name + ".new"): target for target in (path, beside(path))}
    try:
        for made, content in zip(new, (data, text.encode()), strict=True):
            made.write_bytes(content)
        for made, target in new.items():
            os.replace(made, target)
    finally:
        for made in new:
            made.unlink(missing_ok=True)


def load(path: str | os.PathLike[str], dtype: str | None = None) -> nn.Module:
    """The frontend that ``leaf-ladder convert`` wrote; needs torch and safetensors, no TensorFlow.

    Args:
        path: the ``.safetensors`` file; its configuration lies beside it, in the ``.json`` file of the same name.
        dtype: of the module, ``"float32"`` or ``"float64"``; that of the file by default.

    Returns:
        An ``og_leaf``, ``leaf`` or ``efficientleaf`` module in evaluation mode: audio [B, T] in, features
        [B, filters, frames] out.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        ValueError: a file is missing, torn or of another kind, or the two do not belong together; names it.
    """
    import torch

    path = Path(path)
    about = read_about(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"path={str(path)!r}: cannot be read ({error})") from None
    if hashlib.sha256(data).hexdigest() != about["sha256"]:
        raise ValueError(f"path={str(path)!r}: is not the file that {beside(path).name!r} was written with")
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype={dtype!r}: must be 'float32' or 'float64'")
    module = assemble(FrontendConfig.of(**about["config"]), about["rung"], about["dtype"], about["options"])
    try:
        module.load_state_dict(_safetensors().load(data))
    except Exception as error:
        raise ValueError(f"path={str(path)!r}: does not hold its configuration's tensors ({error})") from error
    return module.to(getattr(torch, dtype or about["dtype"])).eval()


def read_about(path: Path) -> dict[str, Any]:
    """The configuration beside a file of weights.

    Raises:
        ValueError: there is none, or it is none of ours.
    """
    where = beside(path)
    try:
        about = json.loads(where.read_text("utf-8"))
        if about["format"] != FORMAT or about["version"] != VERSION:
            raise ValueError(f"format {about['format']!r}, version {about['version']!r}")
        if set(about) != {"format", "version", "rung", "dtype", "config", "options", "sha256"}:
            raise ValueError("other fields than its own")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"path={str(path)!r}: {where.name!r} must lie beside it, of leaf-ladder convert ({error})"
        ) from None
    return dict(about)


def assemble(config: FrontendConfig, rung: str, dtype: str, options: dict[str, Any]) -> nn.Module:
    """A fresh module of a rung, as ``convert`` makes it from a fresh ``og_leaf`` one.

    Raises:
        ValueError: as :func:`parity.convert`.
    """
    from parity.bridges.converting import convert

    module = build(config, dtype)
    converted: nn.Module = module if rung == "og_leaf" else convert(module, rung, **options)
    return converted


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ModuleNotFoundError as error:
        from parity.checkpoints.files import EXTRA

        raise ModuleNotFoundError(f"a .safetensors file needs safetensors: {EXTRA}", name=error.name) from None
    return safetensors.torch
