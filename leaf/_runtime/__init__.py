"""Run the front end: a cache of filters, streaming, the scan, ONNX operations and argument checks. No mathematics."""
