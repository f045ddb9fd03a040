"""Compare each rung with the one below and the oracle: forward, gradients, training, streaming, exports."""
