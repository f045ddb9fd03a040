"""Readers of weight files: TensorFlow's, Keras', PyTorch's and NumPy's. None unpickles, none needs TensorFlow."""
