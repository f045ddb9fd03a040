"""What the front ends are timed against: mel spectrograms, and the published computation of LEAF and EfficientLEAF."""
