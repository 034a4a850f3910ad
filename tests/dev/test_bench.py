"""The bench's verdicts: what it calls met, and what a miss."""

import pytest

from dev.bench import rows
from dev.bench.chamber import Timing


class Release:
    """A release whose hook sends so many requests."""

    def __init__(self, requests: int) -> None:
        self._said = "".join(f"span GET /{n} 0.1 s\n" for n in range(requests))

    def ensure(self) -> Timing:
        return Timing(1.0, 0.5, 50 << 20, 0, self._said, 0.1)

    def log_in_by_hand(self) -> Timing:
        return Timing(1.0, 0.5, 50 << 20, 1, "", 0.1)

    def forget(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "Release", Release)


def scale(requests: list[int], alone: float | None) -> tuple[rows.Row, float]:
    found, each = rows.scale([Release(n) for n in requests], alone)  # type: ignore[misc]
    (row,) = (row for row in found if "requests per release" in row.what)
    return row, each


def test_one_release_alone_is_the_yardstick_for_many() -> None:
    row, alone = scale([7], None)
    assert (row.ours, row.met, row.goal) == ("7", None, "")
    row, _ = scale([7, 7, 7], alone)
    assert (row.what, row.yardstick, row.ratio, row.met) == ("3 at once: requests per release", "7", "1.00", True)


def test_requests_that_grow_with_the_number_of_releases_are_a_miss() -> None:
    row, _ = scale([9, 9, 7], 7)
    assert (row.ours, row.ratio, row.met) == ("9", "1.29", False)
