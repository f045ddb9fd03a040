"""``load_weights``: set a frontend's parameters from a file of weights, a mapping of arrays or another frontend.

A source is opened, and says which frontends it holds; the variables of the one that is meant are read under the
original's names, held to the module's shapes, and written by the adapter of its rung: all of them or none.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from parity.adapters import layouts
from parity.adapters.canonical import (
    CONV,
    KERNEL,
    RNN_KERNEL,
    RNN_RECURRENT,
    Variables,
    checked,
    require_finite,
    require_fit,
    require_match,
)
from parity.adapters.public import PUBLIC
from parity.adapters.refusals import SIMPLIFIED, same_function
from parity.adapters.rungs import Rung, rung_of
from parity.oracle.config import FLOOR
from parity.weights import stored
from parity.weights.array_files import as_array, mapped, npz, safetensors, state_dict
from parity.weights.contents import Contents
from parity.weights.frontend_config import CONVOLUTIONS, FIXED
from parity.weights.keras_files import h5, keras_archive
from parity.weights.outputs import shown
from parity.weights.tensorflow_checkpoint import checkpoint, in_folder

if TYPE_CHECKING:
    from torch import nn

KINDS = (
    "the prefix of a TensorFlow checkpoint, or a folder with one; a Keras .h5, .weights.h5 or .keras file; .npz; "
    ".safetensors; or a state dict, .pt or .pth"
)
READERS: dict[str, Callable[[Path], Contents]] = {
    ".npz": npz, ".safetensors": safetensors, ".pt": state_dict, ".pth": state_dict, ".h5": h5, ".hdf5": h5,
    ".keras": keras_archive,
}  # fmt: skip
STATE = "checkpoint"  # TensorFlow's text file beside what CheckpointManager and Saver write
PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")
# what computes the same with the module that this attribute holds: torch.compile's and the two for several devices
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
Facts = dict[str, Any]


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
            module), of layers (Keras), or what names begin with; what is elsewhere is left alone. Without it, a
            checkpoint, Keras file or state dict that holds one frontend is taken to mean that one, and anything else
            must be the frontend's to the last variable. Optimiser slots, counters and metrics are never part of one.

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
    rung, module = frontend_of(module)
    if not isinstance(source, (str, os.PathLike, Mapping)):
        known, origin = _set_from_module(rung, module, source, scope), "the source"
    else:
        try:
            if isinstance(source, Mapping):
                contents: Contents = mapped(source, Path("the mapping"))
            else:
                contents = open_file(Path(source))
            known, origin = _set_from_contents(rung, module, contents, scope)
        except (TypeError, ValueError) as error:  # a mapping's values are the caller's, a file's are the file's
            if isinstance(source, Mapping) or (name := repr(os.fspath(source))) in str(error):
                raise
            raise ValueError(f"source={name}: {error}") from error
    _warn_of_differences(known, facts_of(rung.name, module), origin)


def open_file(path: Path) -> Contents:
    """Open a file of weights, of a kind that :data:`KINDS` lists: none is unpickled, and none needs TensorFlow.

    Raises:
        ModuleNotFoundError: h5py or safetensors is needed and not installed.
        ValueError: there is no such file, it is torn or pickled, or of another kind; names the path.
    """
    where = f"source={str(path)!r}"
    try:
        indexed = bool(path.name) and path.with_name(path.name + ".index").is_file()
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a byte that no name has
        raise ValueError(f"{where}: cannot be read ({error})") from None
    if indexed:
        return checkpoint(path)
    if part := PART.fullmatch(path.name):
        raise ValueError(f"{where}: a part of a TensorFlow checkpoint; give the prefix {part[1]!r}")
    if reader := READERS.get(path.suffix):
        return reader(path)
    if folder:
        return in_folder(path)
    if there and path.name == STATE:
        raise ValueError(f"{where}: lists checkpoints and holds none; give the prefix of one, or its folder")
    raise ValueError(f"{where}: {'must be' if there else 'there is no such file; must be'} {KINDS}")


def _set_from_contents(rung: Rung, module: Any, contents: Contents, scope: str | None) -> tuple[Facts, str]:
    """Set a module from a file; return what is known of the source beside its variables, and what the source is."""
    adapter, where = rung.load_adapter(), contents.chosen(scope)
    names, hints = contents.names(where), contents.hints(where)
    known, origin = _facts_of_contents(contents.path, hints)
    if layouts.is_simplified(names) and rung.name in SIMPLIFIED:
        held = contents.held(where, _most(tuple(t.shape) for t in module.state_dict().values()))
        logs = layouts.holds_logarithms(held)
        # logarithms or values of PCEN, as the module holds them; other compressions have one form
        if logs in (None, getattr(module.compression, "learn_logs", logs)):
            _set_state_dict(module, held)
            return known, origin
    wanted = adapter.shapes(module)
    variables = contents.variables(where, _most(wanted.values()))
    if layouts.is_state_dict(names):
        # the published port keeps its fixed smoother as an argument, and in no state dict: so is ours kept
        for name in {RNN_KERNEL, RNN_RECURRENT} & set(wanted) - set(variables):
            variables[name] = adapter.read(module)[name]
    variables = _set_variables(rung, module, hints.get("rung", "original"), variables, hints)
    if "port" in hints:  # the taps that it has where the module was built: simplified LEAF makes an even number odd
        known["n_taps"] = adapter.config(module).with_(padding="same").window
    return known if variables else {}, origin


def _set_from_module(rung: Rung, module: Any, source: Any, scope: str | None) -> Facts:
    """Set a module from another; return what is known of the source beside its variables."""
    try:
        other, source = frontend_of(source if scope is None else part_of(source, scope))
    except TypeError as error:
        raise TypeError(str(error).replace("module=", "source=", 1)) from None
    known = facts_of(other.name, source)
    if {rung.name, other.name} <= set(SIMPLIFIED) and set(module.state_dict()) == set(source.state_dict()):
        forms = [getattr(frontend.compression, "learn_logs", None) for frontend in (module, source)]
        if forms[0] == forms[1]:  # tensors of the same names that mean the same
            _set_state_dict(module, {name: as_array(name, tensor) for name, tensor in source.state_dict().items()})
            return known
    hints = {"conv1d_cls": cls} if (cls := _class_of(other.name, source)) else {}
    variables = _set_variables(rung, module, other.name, other.load_adapter().read(source), hints)
    return known if variables else {}


def _set_variables(
    rung: Rung, module: Any, origin: str, source: Mapping[str, Any], hints: Mapping[str, str]
) -> Variables:
    """Set a module from variables of a rung, or of the original; return them by canonical names."""
    adapter = rung.load_adapter()
    variables = checked(source, adapter.shapes(module))
    _require_same_filters(_class_of(rung.name, module), variables, hints)
    if rung.name in SIMPLIFIED or origin in SIMPLIFIED:
        variables = same_function(origin, rung.name, variables, adapter.config(module).window)
    adapter.write(module, variables)
    return variables


def _set_state_dict(module: nn.Module, held: Mapping[str, NDArray[Any]]) -> None:
    """Set every tensor of a module from a state dict of its names, all of them or none; refuses as :func:`checked`."""
    import torch

    own = module.state_dict(keep_vars=True)
    require_match(held, {name: tuple(tensor.shape) for name, tensor in own.items()})
    for name, tensor in own.items():
        array = held[name]
        require_finite(name, array)
        if tensor.is_floating_point():
            require_fit(name, array, str(tensor.dtype).removeprefix("torch."))
        elif array.dtype.kind not in "iu":
            raise TypeError(f"variable {name!r}: must be integers, got dtype {array.dtype}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(torch.as_tensor(np.array(held[name])))


def _most(shapes: Iterable[tuple[int, ...]]) -> int:
    """Count the values that a source may have where the module needs these: enough to say what is wrong with others."""
    return max(1 << 20, 4 * sum(math.prod(shape) for shape in shapes))


def frontend_of(module: Any) -> tuple[Rung, Any]:
    """Find a frontend's rung, and itself without what ``torch.compile`` or PyTorch's data parallelism puts around it.

    A module of no rung is refused with a TypeError, which says where frontends are in it.
    """
    module = _unwrapped(module)
    try:
        return rung_of(module), module
    except TypeError as error:
        found = _frontends_in(module) if hasattr(module, "named_modules") and not isinstance(module, type) else []
        if not found:
            raise
        raise TypeError(
            f"{error}; it holds frontends at {found}: give one, module.get_submodule({found[0]!r})"
        ) from None


def part_of(module: Any, scope: str) -> Any:
    """Find the part of a PyTorch or Keras model that a path of attributes, indices or layers' names leads to."""
    part = module
    for name in re.split("[/.]", scope.strip("/")) if scope.strip("/") else ():
        part = _child(part, name)
        if part is None:
            found = [at.replace(".", "/") for at in _frontends_in(module)]
            raise ValueError(
                f"scope={scope!r}: {type(module).__qualname__} has no part {name!r} there; "
                f"frontends are at {found or 'none that can be told'}"
            )
    return part


def _unwrapped(module: Any, but: str = "") -> Any:
    """Take off what computes the same, unless its attribute of the name ``but`` is meant."""
    while (inside := WRAPPERS.get(type(module).__name__)) and hasattr(module, inside) and inside != but:
        module = getattr(module, inside)
    return module


def _child(part: Any, name: str) -> Any:
    """Find an attribute, the element of a list, or the layer of a name; None for none."""
    part = _unwrapped(part, name)
    own = getattr(part, "_modules", {}).get(name) or getattr(part, name, None)
    if own is None and name.isdigit() and isinstance(part, (list, tuple)) and int(name) < len(part):
        own = part[int(name)]
    if own is None:
        own = next((layer for layer in getattr(part, "layers", ()) if getattr(layer, "name", None) == name), None)
    return own


def _frontends_in(module: Any) -> list[str]:
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


# filters of another class, whose variables have the same names and shapes

OF_KERAS = ("Conv1D", "FFTConv1D")  # they name and store their kernel alike
HERTZ = 4.0  # mu is kept in [0, pi] rad/sample, and what trained without that limit is just outside


def _class_of(rung: str, module: Any) -> str:
    """Name the class of a module's filters as the original does; nothing where it has none, or one of its own."""
    if rung in SIMPLIFIED:
        return "GaborConv1D"
    mro = type(getattr(module, "_complex_conv", None)).__mro__
    return next((cls.__name__ for cls in mro if cls.__name__ in CONVOLUTIONS), "")


def told(kernel: NDArray[Any], hints: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Tell the classes that a kernel, [filters, 2] or [taps, 1, channels], may be of, the likeliest first, and why.

    ``hints`` is what the source says beside it, see :meth:`parity.weights.contents.Contents.hints`.
    """
    fixed = FIXED.get(hints.get("frontend", ""), {}).get("conv1d_cls")
    if said := hints.get("conv1d_cls") or fixed:
        return (said,), "as the source says"
    if kernel.ndim == 2:
        largest = float(np.abs(kernel[:, 0]).max())
        if largest > HERTZ:
            return ("SincConv1D",), f"column 0 reaches {largest:g}, which is Hz"
        # one filter may be a low-pass of Hz; several, none of which starts above 3 Hz, are none that one trains
        if len(kernel) > 1 and largest <= np.float32(np.pi):
            return ("GaborConv1D",), f"column 0 reaches no more than {largest:g}, which is rad/sample"
        return ("GaborConv1D", "SincConv1D"), "by its values"
    among = {"keras": OF_KERAS, "own": ("NormalizedConv1D",)}.get(hints.get("kernel", ""))
    return among or (*OF_KERAS, "NormalizedConv1D"), "by the name of its kernel"


def _require_same_filters(own: str, variables: Variables, hints: Mapping[str, str]) -> None:
    """Refuse a source whose filters are certain to be of another class than the module's; names both."""
    name = next((name for name in (KERNEL, CONV) if name in variables), "")
    if not own or not name:
        return
    classes, why = told(variables[name], hints)
    if own not in classes:
        raise ValueError(f"variable {name!r}: is of {' or '.join(classes)} ({why}), must be of the module's {own}")


# what no variable says, and with which the same weights give other numbers

# of what the original's variables are written with, whatever file or mapping holds them
ORIGINAL: Facts = {"padding": "same", "clamp": FLOOR}


def facts_of(rung: str, module: Any) -> Facts:
    """Collect what a frontend computes with beside its parameters; Hz and ms, what it does not have left out."""
    lengths = ("sample_rate", "window_len", "window_stride")
    facts: Facts = {"wrap": False, **{name: float(getattr(module, name)) for name in lengths if hasattr(module, name)}}
    if rung not in SIMPLIFIED:
        floor = getattr(getattr(module, "_compress_fn", None), "_floor", None)
        return {**facts, **ORIGINAL, **({} if floor is None else {"eps": float(floor)})}
    facts["padding"] = getattr(module, "padding", "centered")  # efficientleaf has no other
    facts["n_taps"] = module.filterbank.pool_size
    pcen = module.compression
    if hasattr(pcen, "learn_logs"):
        facts.update(clamp=pcen.clamp, eps=float(pcen.eps))
    return facts


def _facts_of_contents(path: Path, hints: Mapping[str, str]) -> tuple[Facts, str]:
    """Collect what a source says, or is certain, beside its variables; name the source."""
    if path.suffix == stored.SUFFIX and path.is_file() and (about := stored.described(path)):
        config = about.config
        facts: Facts = {name: float(getattr(config, name)) for name in ("sample_rate", "window_len", "window_stride")}
        pcen = {"eps": config.pcen_floor} if "pcen" in config.compression else {}
        wrap = about.options.get("wrap", False)
        return {**facts, **pcen, **ORIGINAL, "padding": about.padding, "wrap": wrap}, "the source"
    if hints.get("rung") == "leaf":  # which a module of leaf was built for, as with load_state_dict
        return {}, "a state dict of leaf"
    if port := PUBLIC.get(hints.get("port", "")):  # their frames are simplified LEAF's
        floor = {} if port.floor is None else {"eps": port.floor}
        return {**ORIGINAL, "padding": "centered", **floor}, port.repository
    return dict(ORIGINAL), "TensorFlow's LEAF"


def _warn_of_differences(source: Facts, module: Facts, origin: str) -> None:
    """Warn, once for all, of the facts that a source and a module both have and do not share."""
    differ = [name for name, value in source.items() if name in module and module[name] != value]
    if not differ:
        return
    said = ", ".join(f"{name}={module[name]!r} where {origin} has {source[name]!r}" for name in differ)
    frames = "; its frames stand elsewhere: padding='same' is TensorFlow's" if "padding" in differ else ""
    warnings.warn(
        f"load_weights: the weights are set, but the module has {said}, and computes other numbers with them{frames}",
        UserWarning,
        stacklevel=3,
    )
