"""Mutation run: small changes of a rung's code, each of which the rung's tests must notice.

``operators`` makes mutants of a source file, ``forking`` runs a rung's tests on one, ``comparison`` runs ``drawn``
cases on a survivor and on the original, ``__main__`` samples, judges and records; ``judged.json``
lists the survivors that a reviewer found equivalent.
"""
