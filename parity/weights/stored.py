"""Write and load a converted frontend: one ``.safetensors`` file with its state dict and its description.

The description is the file's metadata. One SHA-256 is over it and the tensors, so weights and settings cannot part. The
JSON file beside is a copy for people; nothing reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parity.weights.frontend_config import FrontendConfig, build
from parity.weights.outputs import Output, require_file, require_library, shown

if TYPE_CHECKING:
    from torch import nn

FORMAT = "leaf-ladder frontend"
VERSION = 2
SUFFIX = ".safetensors"
TARGETS = ("og_leaf", "leaf", "efficientleaf")
DTYPES = ("float32", "float64")
APPROXIMATIONS = {"num_groups": int, "conv_win_factor": float, "stride_factor": float}  # options of efficientleaf
OPTIONS = {"padding": str, "wrap": bool, "learn_logs": bool, **APPROXIMATIONS}
LONGEST = 1 << 20  # bytes of a header; ours have a few thousand
WIDEST = 1 << 16  # n_fft: the one size that no tensor of the file vouches for


@dataclass(frozen=True)
class Description:
    """Describe the frontend that a state dict is of.

    Attributes:
        rung: the module's.
        dtype: of its parameters.
        config: of the ``og_leaf`` frontend that it was converted from.
        options: those of ``convert`` that lead from one to the other.
    """

    rung: str
    dtype: str
    config: FrontendConfig
    options: dict[str, Any]

    def __post_init__(self) -> None:
        for name, allowed in (("rung", TARGETS), ("dtype", DTYPES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: must be one of {allowed}")
        for name, value in self.options.items():
            kind = OPTIONS.get(name)
            if kind is None or not isinstance(value, (kind, int) if kind is float else kind):
                raise ValueError(f"option {name}={value!r}: must be one of {sorted(OPTIONS)}, and of its type")

    @property
    def padding(self) -> str:
        """Return how frames are aligned, ``same`` or ``centered``."""
        default = "centered" if self.rung == "efficientleaf" else "same"
        return str(self.options.get("padding", default))

    def module(self) -> nn.Module:
        """Build a fresh module, as ``convert`` makes it from a fresh ``og_leaf`` one; raises as it does."""
        from parity.weights.convert_module import convert

        module = build(self.config, self.dtype)
        converted: nn.Module = module if self.rung == "og_leaf" else convert(module, self.rung, **self.options)
        return converted

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}


def load(path: str | os.PathLike[str], dtype: str | None = None, *, wrap: bool = False, **settings: Any) -> nn.Module:
    """Load the frontend that ``leaf-ladder convert`` wrote, or that of a state dict; needs no TensorFlow.

    Args:
        path: the ``.safetensors`` file, which holds its own description; with ``wrap``, also any file of weights that
            :func:`parity.load_weights` reads.
        dtype: of the module, ``"float32"`` or ``"float64"``; that of the file by default, float32 where it has no
            description.
        wrap: whether a file without a description is read. The state dict of a public port that adds something to
            LEAF (denfed/leaf-audio-pytorch, SarthakYadav/leaf-pytorch, SpeechBrain) becomes an ``og_leaf.Leaf`` with
            the port's own padding around its convolution and pooling, and its trained bias on the energies.
        **settings: of :class:`parity.weights.frontend_config.FrontendConfig`, which such a file does not say:
            ``sample_rate``, ``window_len``, ``window_stride``, ``pcen_floor``; LEAF's defaults otherwise.

    Returns:
        An ``og_leaf``, ``leaf`` or ``efficientleaf`` module in evaluation mode: audio [B, T] in, features
        [B, filters, frames] out.

    Raises:
        ModuleNotFoundError: safetensors is not installed.
        TypeError: ``path`` is none.
        ValueError: the file is missing, torn, edited or of another kind, or a weight is NaN or infinite; settings of a
            file that says them itself, or that do not fit; names it.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path={shown(path)}: must be a path, got {type(path).__name__}")
    path = Path(path)
    if dtype is not None:
        require_dtype(dtype)
    about = described(path)
    if about is None and wrap:
        import torch

        from parity.weights.build_from_file import load_wrapped

        return load_wrapped(path, settings).to(getattr(torch, dtype or "float32")).eval()
    if settings:
        why = "wrap=False" if about is None else f"path={str(path)!r} says all of them"
        raise ValueError(f"settings={sorted(settings)}: must be left out, {why}")
    if about is None:
        raise ValueError(
            f"path={str(path)!r}: must be a file of leaf-ladder convert, whose description is inside; of another, "
            "parity.load_weights sets a module's parameters, and wrap=True builds the frontend of a state dict"
        )
    return decode(path, path.read_bytes(), dtype)


def require_dtype(dtype: object) -> None:
    """Refuse a dtype that no converted frontend has."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"dtype={shown(dtype)}: must be 'float32' or 'float64'")


def decode(path: Path, data: bytes, dtype: str | None = None) -> nn.Module:
    """Build the frontend in the bytes of a file; see :func:`load`."""
    require_library("safetensors", f"a {SUFFIX} file")
    import safetensors.torch
    import torch

    where = f"path={str(path)!r}"
    try:
        header, tensors = _split(data)
        about, seal = _parse(header, len(data)), header["__metadata__"].get("sha256")
    except ValueError as error:
        raise ValueError(f"{where}: is torn or edited ({error})") from error
    if _seal(header, tensors) != seal:
        raise ValueError(f"{where}: is torn or edited: its SHA-256 is not the recorded one")
    module = about.module()
    try:
        state = safetensors.torch.load(data)
        module.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{where}: does not hold its configuration's tensors ({error})") from error
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{where}: {name!r} has NaN or infinite values; must be finite")
    return module.to(getattr(torch, dtype or about.dtype)).eval()


def described(path: Path) -> Description | None:
    """Read the description inside a file of weights, or None; refuse one of ours that is torn or of another version."""
    if path.suffix != SUFFIX:
        return None
    require_file("path", path)
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= LONGEST else b""
    try:
        header = json.loads(text)
        if header["__metadata__"]["producer"] != FORMAT:
            return None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    try:
        return _parse(header, path.stat().st_size)
    except ValueError as error:
        raise ValueError(f"path={str(path)!r}: is torn, edited or of another version ({error})") from error


def _parse(header: Mapping[str, Any], size: int) -> Description:
    """Read the description in a header; refuse one that needs more parameters than a file of this size can hold."""
    try:
        said = header["__metadata__"]
        if said["producer"] != FORMAT or said["version"] != str(VERSION):
            raise ValueError(f"producer {said['producer']!r}, version {said['version']!r}")
        config = FrontendConfig.of(**json.loads(said["config"]))
        about = Description(said["rung"], said["dtype"], config, dict(json.loads(said["options"])))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    # checked before anything of that size is made
    taps = config.window if config.conv1d_cls in ("Conv1D", "NormalizedConv1D", "FFTConv1D") else 1
    if config.frontend != "MelFilterbanks" and config.n_filters * taps > size:
        raise ValueError(f"n_filters={config.n_filters}: more than the file holds")
    if config.n_fft > WIDEST or (config.frontend == "MelFilterbanks" and config.n_filters > WIDEST):
        raise ValueError(f"n_fft={config.n_fft}, n_filters={config.n_filters}: must be at most {WIDEST}")
    return about


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Part a file into header and tensors; raises ValueError where the header is torn."""
    length = int.from_bytes(data[:8], "little")
    if length > len(data) - 8:
        raise ValueError("it breaks off in its header")
    try:
        return dict(json.loads(data[8 : 8 + length])), data[8 + length :]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its header is no mapping ({error})") from error


def _seal(header: Mapping[str, Any], tensors: bytes) -> str:
    """Compute the SHA-256 of all that is in a file but itself."""
    said = {name: value for name, value in header["__metadata__"].items() if name != "sha256"}
    rest = json.dumps({**header, "__metadata__": said}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(rest.encode() + b"\0" + tensors).hexdigest()


def encode(module: nn.Module, about: Description) -> bytes:
    """Make the bytes of a ``.safetensors`` file of a frontend."""
    require_library("safetensors", f"a {SUFFIX} file")
    from safetensors.torch import save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    said = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.as_dict().items()}
    # "format" is what other readers of these files ask for
    metadata = {**said, "producer": said["format"], "format": "pt"}
    seal = _seal(*_split(save(state, metadata=metadata)))
    encoded: bytes = save(state, metadata={**metadata, "sha256": seal})
    return encoded


def write(to: tuple[Output, Output], data: bytes, about: Description) -> None:
    """Write what :func:`encode` made, and the copy of its description; raises as :meth:`Output.write`."""
    weights, copy = to
    text = json.dumps({**about.as_dict(), "sha256": hashlib.sha256(data).hexdigest()}, indent=1, allow_nan=False)
    weights.write(data)
    copy.write(text.encode() + b"\n")


def outputs(path: Path, inputs: Mapping[str, Path], force: bool = False) -> tuple[Output, Output]:
    """Name the weights and the copy of their description, to be checked before any work; see :class:`Output`."""
    if path.suffix != SUFFIX:
        raise ValueError(f"target={str(path)!r}: must end in {SUFFIX}")
    return (
        Output("target", path, inputs, _is_weights, force),
        Output("target's description", path.with_suffix(".json"), inputs, _is_copy, force),
    )


def _is_weights(path: Path) -> bool:
    try:
        return described(path) is not None
    except ValueError:
        return False


def _is_copy(path: Path) -> bool:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    names = {"format", "version", "rung", "dtype", "config", "options", "sha256"}
    return isinstance(found, dict) and found.get("format") == FORMAT and set(found) == names
