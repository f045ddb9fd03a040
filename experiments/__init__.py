"""Train classifiers on any front end of the ladder, and test whether accuracy after training is equivalent.

``python -m experiments.prompts``, ``experiments.train`` and ``experiments.equivalence``; none of it is in the wheel.
"""
