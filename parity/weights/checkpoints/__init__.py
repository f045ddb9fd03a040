"""Readers of weight files: TensorFlow's, Keras', PyTorch's and NumPy's. None unpickles, none needs TensorFlow."""

from parity.weights.checkpoints.contents import Contents, Mapped
from parity.weights.checkpoints.files import open_file

__all__ = ["Contents", "Mapped", "open_file"]
