"""The count of bytes: what is made counts until it is gone, views and what was there before do not."""

from __future__ import annotations

import torch

from benchmarks.memory import Peak


def test_counts_what_is_alive_at_once():
    with Peak() as peak:
        a = torch.zeros(100)
        b = a + 1
        del a
        c = b + 1
        del b, c
    assert (peak.most, peak.now) == (800, 0)


def test_views_and_what_was_there_before_cost_nothing():
    a = torch.zeros(100)
    with Peak() as peak:
        b = a[10:]
        b.add_(1)
    assert peak.most == 0


def test_sees_what_backward_makes():
    x = torch.ones(100, requires_grad=True)
    with Peak() as peak:
        (x * x).sum().backward()
    assert peak.most >= 2 * 400
