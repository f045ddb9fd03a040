"""Every public name of the original, run on any implementation, and what comes of it.

``names`` says what there is, ``subjects`` what to run, ``drawing`` which to draw, ``outcome`` what comes back;
``tensorflow``, ``torch`` and ``exact`` run a subject.
"""
