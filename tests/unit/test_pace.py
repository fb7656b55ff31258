"""How often a reply is read, on clocks of the tests' own."""

import pytest

from app.providers.pace import Pace


class Process:
    def __init__(self) -> None:
        self.now = self.used = 100.0
        self.pace = Pace(0.03, lambda: self.now, lambda: self.used)

    def spend(self, seconds: float, share: float) -> float:
        """The pace after so long, at this share of a core."""
        for _ in range(round(seconds / 0.01)):
            self.now += 0.01
            self.used += 0.01 * share
            pace = self.pace()
        return pace


@pytest.mark.parametrize(("share", "pace"), [(0.0, 0.03), (0.1, 0.03), (0.2, 0.045), (0.4, 0.075), (1.0, 0.075)])
def test_it_stretches_with_what_the_process_has_to_do(share: float, pace: float) -> None:
    assert Process().spend(2, share) == pytest.approx(pace)


def test_it_changes_soon_but_not_at_once() -> None:
    process = Process()
    process.spend(5, 0.0)
    assert process.spend(0.1, 1.0) == pytest.approx(0.03)
    assert process.spend(0.9, 1.0) == pytest.approx(0.075)
    assert process.spend(1, 0.0) == pytest.approx(0.03)
