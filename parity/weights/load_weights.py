"""Set a frontend's parameters from a file of weights, a mapping of arrays or another frontend.

Open the source, choose the frontend in it, read its variables under the original's names, hold them to the module's
shapes, and let the adapter of the module's rung write all of them or none. Last, warn of settings that no weights hold.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from parity.adapters import canonical, layouts
from parity.adapters.canonical import RNN_KERNEL, RNN_RECURRENT, SIMPLIFIED, Variables, same_function
from parity.adapters.layouts import PUBLIC
from parity.adapters.rungs import Rung, rung_of
from parity.oracle.config import FLOOR
from parity.weights import array_files
from parity.weights.contents import Array, Contents, naming
from parity.weights.infer_config import class_in_module, require_same_class
from parity.weights.keras_files import open_h5, open_keras_archive
from parity.weights.outputs import shown
from parity.weights.stored import Description, described
from parity.weights.tensorflow_checkpoint import open_checkpoint, open_folder

if TYPE_CHECKING:
    from torch import nn


KINDS = (
    "the prefix of a TensorFlow checkpoint, or a folder with one; a Keras .h5, .weights.h5 or .keras file; .npz; "
    ".safetensors; or a state dict, .pt or .pth"
)
READERS: dict[str, Callable[[Path], Contents]] = {
    ".npz": array_files.open_npz, ".safetensors": array_files.open_safetensors,
    ".pt": array_files.open_state_dict, ".pth": array_files.open_state_dict,
    ".h5": open_h5, ".hdf5": open_h5, ".keras": open_keras_archive,
}  # fmt: skip
STATE = "checkpoint"  # TensorFlow's text file beside what CheckpointManager and Saver write
PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")


def load_weights(
    module: Any, source: Mapping[str, Any] | str | os.PathLike[str] | Any, *, scope: str | None = None
) -> None:
    """Set the parameters of a frontend; nothing is changed unless all of them can be.

    Args:
        module: a frontend of ``tf_leaf`` or ``og_leaf``, a ``leaf.Leaf`` or an ``efficientleaf.EfficientLeaf`` (the
            last two with PCEN, or with the compression that the source has); also as ``torch.compile`` returns it.
        source: one of

            - a mapping of the original's variable names (``kernel:0``, ``leaf/PCEN/alpha:0``, ...; the prefix and
              ``:0`` are optional) to real arrays, or a state dict of ``og_leaf``, ``leaf``, ``efficientleaf`` or of
              the published ports that they follow, or of denfed/leaf-audio-pytorch, SarthakYadav/leaf-pytorch or
              SpeechBrain, where their bias on the energies is 0;
            - the path of a file: the prefix of a TensorFlow checkpoint, object-based or by names, or a folder that
              holds one (a SavedModel); a Keras ``.h5``, ``.weights.h5`` or ``.keras`` file; an ``.npz`` or
              ``.safetensors`` file of such a mapping; a state dict (``.pt``, ``.pth``). None needs TensorFlow, none
              is unpickled;
            - another rung's module, whose configuration must hold the same variables. Values that their source limits
              in its forward pass, and the module does not, are carried as the limit.
        scope: where in the source the frontend stands, ``my_model/leaf``: the path of attributes (a checkpoint or a
            module), of layers (Keras), or what names begin with; what is elsewhere is left alone. Without it, the only
            frontend that is found in a checkpoint, Keras file or state dict is taken, whatever stands beside it; where
            none is found, every variable must be the module's. Optimiser slots, counters and metrics never count.

    Warns:
        UserWarning: the module has another padding, rate, length or limit of PCEN than the source, so far as this is
            known: the same weights then give other numbers.

    Raises:
        ModuleNotFoundError: a file needs h5py or safetensors, and it is not installed.
        TypeError: the module, or a source that is one, belongs to no rung; or ``scope`` is no text; or a value of a
            mapping is complex or no array of numbers.
        ValueError: a variable is missing, not expected, misshapen, NaN or infinite; or the filters are certain to be of
            another class, whose variables have the same shapes; or the rung cannot hold its value
            (the message names the variable, the value and what is allowed); or the file cannot be read, has more
            values than a frontend of this module's size, or holds several frontends or none where ``scope`` says (the
            message lists those that there are).
    """
    if not isinstance(scope, (str, type(None))):
        raise TypeError(f"scope={shown(scope)}: must be text, or None")
    rung, module = _find_frontend(module)
    if isinstance(source, Mapping):
        settings = _set_from_contents(rung, module, array_files.open_mapping(source), scope)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        with naming(source):
            contents = open_file(path)
        about = described(path) if path.is_file() else None
        with naming(source):
            settings = _set_from_contents(rung, module, contents, scope, about)
    else:
        settings = _set_from_module(rung, module, source, scope)
    _warn_of_others(settings, _settings_of_module(rung, module))


def open_file(path: Path) -> Contents:
    """Open a file of weights, of a kind that :data:`KINDS` lists: none is unpickled, and none needs TensorFlow.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: there is no such file, it is torn or pickled, or of another kind.
    """
    try:
        indexed = bool(path.name) and path.with_name(path.name + ".index").is_file()
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a byte that no name has
        raise ValueError(f"cannot be read ({error})") from None
    if indexed:
        return open_checkpoint(path)
    if part := PART.fullmatch(path.name):
        raise ValueError(f"a part of a TensorFlow checkpoint; give the prefix {part[1]!r}")
    if reader := READERS.get(path.suffix):
        return reader(path)
    if folder:
        return open_folder(path)
    if there and path.name == STATE:
        raise ValueError("lists checkpoints and holds none; give the prefix of one, or its folder")
    raise ValueError(f"{'must be' if there else 'there is no such file; must be'} {KINDS}")


def _set_from_contents(
    rung: Rung, module: Any, contents: Contents, scope: str | None, about: Description | None = None
) -> _KnownSettings:
    """Set a module from an opened source; return the settings that it was trained with, so far as they are known."""
    scope = contents.choose_scope(scope)
    names, hints = contents.names(scope), contents.hints(scope)
    settings = _settings_of_description(about) if about else _settings_of_hints(hints)
    if hints.get("layout") == "simplified" and rung.name in SIMPLIFIED:
        held = contents.read(scope, _most_values(tuple(t.shape) for t in module.state_dict().values()))
        logs = layouts.holds_logarithms(held)
        # logarithms or values of PCEN, as the module holds them; other compressions have one form
        if logs in (None, getattr(module.compression, "learn_logs", logs)):
            _set_state_dict(module, held)
            return settings
    adapter = rung.load_adapter()
    shapes = adapter.shapes(module)
    variables = array_files.original_variables(contents.read(scope, _most_values(shapes.values())))
    if layouts.is_state_dict(names):
        # a fixed smoother is in no state dict: keep the module's own
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(shapes) - set(variables):
            variables[name] = adapter.read(module)[name]
    origin = "leaf" if hints.get("layout") == "simplified" else "original"
    variables = _set_variables(rung, module, variables, origin, hints)
    if "port" in hints:  # ports have the original's number of taps; simplified LEAF makes an even one odd
        settings.values["n_taps"] = adapter.config(module).with_(padding="same").window
    return settings if variables else _KnownSettings({}, settings.origin)


def _set_from_module(rung: Rung, module: Any, source: Any, scope: str | None) -> _KnownSettings:
    """Set a module from another; return the other's settings."""
    other, source = _find_frontend(source if scope is None else _find_part(source, scope), "source")
    settings = _settings_of_module(other, source)
    if {rung.name, other.name} <= set(SIMPLIFIED) and set(module.state_dict()) == set(source.state_dict()):
        forms = [getattr(frontend.compression, "learn_logs", None) for frontend in (module, source)]
        if forms[0] == forms[1]:  # tensors of the same names that mean the same
            _set_state_dict(
                module, {name: array_files.as_array(name, tensor) for name, tensor in source.state_dict().items()}
            )
            return settings
    hints = {"conv1d_cls": name} if (name := class_in_module(other, source)) else {}
    variables = _set_variables(rung, module, other.load_adapter().read(source), other.name, hints)
    return settings if variables else _KnownSettings({}, settings.origin)


def _set_variables(
    rung: Rung, module: Any, source: Mapping[str, Any], origin: str, hints: Mapping[str, str]
) -> Variables:
    """Set a module from variables of another rung, or of the original; return them by canonical names."""
    adapter = rung.load_adapter()
    variables = canonical.checked(source, adapter.shapes(module))
    require_same_class(class_in_module(rung, module), variables, hints)
    if rung.name in SIMPLIFIED or origin in SIMPLIFIED:
        variables = same_function(origin, rung.name, variables, adapter.config(module).window)
    adapter.write(module, variables)
    return variables


def _set_state_dict(module: nn.Module, held: Mapping[str, Array]) -> None:
    """Set every tensor of a module from a state dict of its names, all of them or none; refuses as :func:`checked`."""
    import torch

    own = module.state_dict(keep_vars=True)
    canonical.require_match(held, {name: tuple(tensor.shape) for name, tensor in own.items()})
    for name, tensor in own.items():
        array = held[name]
        canonical.require_finite(name, array)
        if tensor.is_floating_point():
            canonical.require_fit(name, array, str(tensor.dtype).removeprefix("torch."))
        elif array.dtype.kind not in "iu":
            raise TypeError(f"variable {name!r}: must be integers, got dtype {array.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.array(held[name])))


def _most_values(shapes: Iterable[tuple[int, ...]]) -> int:
    """Count the values that are read for these shapes: more than they have, so that a refusal can name others."""
    return max(1 << 20, 4 * sum(math.prod(shape) for shape in shapes))


# what computes the same as the module that this attribute holds: torch.compile's and the two for several devices
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def _find_frontend(module: Any, argument: str = "module") -> tuple[Rung, Any]:
    """Find a frontend's rung, and itself without what ``torch.compile`` or PyTorch's data parallelism puts around it.

    A module of no rung is refused with a TypeError, which names the argument and says where frontends are in it.
    """
    module = _unwrap(module)
    try:
        return rung_of(module, argument), module
    except TypeError as error:
        found = _list_frontends(module) if hasattr(module, "named_modules") and not isinstance(module, type) else []
        if not found:
            raise
        raise TypeError(
            f"{error}; it holds frontends at {found}: give one, {argument}.get_submodule({found[0]!r})"
        ) from None


def _find_part(module: Any, scope: str) -> Any:
    """Find the part of a PyTorch or Keras model that a path of attributes, indices or layers' names leads to."""
    part = module
    for name in re.split("[/.]", scope.strip("/")) if scope.strip("/") else ():
        part = _find_child(part, name)
        if part is None:
            found = [at.replace(".", "/") for at in _list_frontends(module)]
            raise ValueError(
                f"scope={scope!r}: {type(module).__qualname__} has no part {name!r} there; "
                f"frontends are at {found or 'none that can be told'}"
            )
    return part


def _unwrap(module: Any, wanted: str = "") -> Any:
    """Take off wrappers, except one whose attribute is the ``wanted`` part itself."""
    while (inside := WRAPPERS.get(type(module).__name__)) and hasattr(module, inside) and inside != wanted:
        module = getattr(module, inside)
    return module


def _find_child(part: Any, name: str) -> Any:
    """Find an attribute, the element of a list, or the layer of a name; None for none."""
    part = _unwrap(part, name)
    own = getattr(part, "_modules", {}).get(name) or getattr(part, name, None)
    if own is None and name.isdigit() and isinstance(part, (list, tuple)) and int(name) < len(part):
        own = part[int(name)]
    if own is None:
        own = next((layer for layer in getattr(part, "layers", ()) if getattr(layer, "name", None) == name), None)
    return own


def _list_frontends(module: Any) -> list[str]:
    """List where a PyTorch or Keras model holds frontends, by their dotted paths or layers' names."""
    layers = ((layer.name, layer) for layer in getattr(module, "layers", ()))
    found = []
    for name, part in module.named_modules() if hasattr(module, "named_modules") else layers:
        try:
            rung_of(part)
        except TypeError:
            continue
        found.append(name)
    return [name for name in found if name]


LENGTHS = ("sample_rate", "window_len", "window_stride")  # Hz, ms, ms
# with which the original's variables were trained, whatever file or mapping holds them
ORIGINAL: dict[str, Any] = {"padding": "same", "clamp": FLOOR}


class _KnownSettings(NamedTuple):
    """Settings by name, those that are known; and what they are of, for the warning."""

    values: dict[str, Any]
    origin: str = "the source"


def _settings_of_module(rung: Rung, module: Any) -> _KnownSettings:
    """Collect a frontend's settings."""
    lengths = {name: float(getattr(module, name)) for name in LENGTHS if hasattr(module, name)}
    if rung.name not in SIMPLIFIED:
        floor = getattr(getattr(module, "_compress_fn", None), "_floor", None)
        return _KnownSettings({"wrap": False, **lengths, **ORIGINAL, **_without_none(eps=floor)})
    padding = getattr(module, "padding", "centered")  # efficientleaf has no other
    values = {"wrap": False, **lengths, "padding": padding, "n_taps": module.filterbank.pool_size}
    pcen = module.compression
    if hasattr(pcen, "learn_logs"):
        values.update(clamp=pcen.clamp, eps=float(pcen.eps))
    return _KnownSettings(values)


def _settings_of_description(about: Description) -> _KnownSettings:
    """Collect the settings in the description that ``leaf-ladder convert`` writes."""
    config = about.config
    lengths = {name: float(getattr(config, name)) for name in LENGTHS}
    pcen = {"eps": config.pcen_floor} if "pcen" in config.compression else {}
    wrap = about.options.get("wrap", False)
    return _KnownSettings({**lengths, **pcen, **ORIGINAL, "padding": about.padding, "wrap": wrap})


def _settings_of_hints(hints: Mapping[str, str]) -> _KnownSettings:
    """Collect the settings of a source without a description; see :meth:`parity.weights.contents.Contents.hints`."""
    if hints.get("layout") == "simplified":  # they are the module's, as with load_state_dict
        return _KnownSettings({}, "a state dict of leaf")
    if port := PUBLIC.get(hints.get("port", "")):  # their frames are simplified LEAF's
        return _KnownSettings({**ORIGINAL, "padding": "centered", **_without_none(eps=port.floor)}, port.repository)
    return _KnownSettings(dict(ORIGINAL), "TensorFlow's LEAF")


def _warn_of_others(source: _KnownSettings, module: _KnownSettings) -> None:
    """Warn the caller of ``load_weights``, once for all settings that both have and do not share."""
    own = module.values
    differ = [name for name, value in source.values.items() if name in own and own[name] != value]
    if not differ:
        return
    said = ", ".join(f"{name}={own[name]!r} where {source.origin} has {source.values[name]!r}" for name in differ)
    frames = "; its frames stand elsewhere: padding='same' is TensorFlow's" if "padding" in differ else ""
    warnings.warn(
        f"load_weights: the weights are set, but the module has {said}, and computes other numbers with them{frames}",
        UserWarning,
        stacklevel=3,
    )


def _without_none(eps: float | None) -> dict[str, float]:
    return {} if eps is None else {"eps": float(eps)}
