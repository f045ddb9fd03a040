"""What the front end runs on: a cache of filters, streaming, the scan, ONNX operations, argument checks."""
