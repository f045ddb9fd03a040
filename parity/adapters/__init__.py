"""Build each implementation, carry its parameters in and out, read its stages."""
