"""Draw and name what is run: configurations, weights, signals, and the public names of the original."""
