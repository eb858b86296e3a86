"""The limit on rejected lines, compared exactly."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from flowspark.books import Books


@pytest.mark.parametrize(
    ("rejected", "flows", "limit", "too_many"),
    [
        (1, 9, "0.1", False),
        (1, 8, "0.1", True),
        (1, 99, "0.01", False),
        (1, 98, "0.01", True),
        (0, 0, "0", False),
        (0, 9, "0", False),
        (1, 0, "1", False),
        (1, 10**9, "0", True),
        (1, 9, "0.0" + "9" * 60, True),
        (1, 9, "0.1" + "0" * 60, False),
        (1, 9, "0.1" + "0" * 60 + "1", False),
        (1, 9, "1e-999999999", True),
    ],
)
def test_rule_9_the_ratio_compares_exactly_as_the_decimal_written(rejected, flows, limit, too_many):
    books = Books(totals=Counter(flows=flows, bad_number=rejected))
    assert books.too_many_rejects(Decimal(limit)) is too_many


@pytest.mark.parametrize("limit", [0, 1, 0.5])
def test_a_limit_may_be_any_number(limit):
    books = Books(totals=Counter(flows=1, bad_number=1))
    assert books.too_many_rejects(limit) is (limit < 0.5)
