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
            self.pace.turn_after(self.now)
        return self.pace.seconds


@pytest.mark.parametrize(("share", "pace"), [(0.0, 0.03), (0.1, 0.03), (0.2, 0.045), (0.3, 0.06), (1.0, 0.06)])
def test_it_stretches_with_what_the_process_has_to_do(share: float, pace: float) -> None:
    assert Process().spend(2, share) == pytest.approx(pace)


def test_it_changes_soon_but_not_at_once() -> None:
    process = Process()
    process.spend(5, 0.0)
    assert process.spend(0.1, 1.0) == pytest.approx(0.03)
    assert process.spend(0.9, 1.0) == pytest.approx(0.06)
    assert process.spend(1, 0.0) == pytest.approx(0.03)


def test_at_ease_each_reply_is_read_in_its_own_time() -> None:
    process = Process()
    process.spend(2, 0.0)
    assert [process.pace.turn_after(at) - at for at in (7.001, 7.019)] == pytest.approx([0.03, 0.03])


def test_when_busy_all_are_read_at_the_same_moments() -> None:
    process = Process()
    process.spend(2, 1.0)
    first = process.pace.turn_after(7.0)
    again = process.pace.turn_after(first + 0.004)  # it took a moment until this one was read
    assert again == pytest.approx(first + 0.06)
    for at in (first - 0.03, first, first + 0.02):
        turn = process.pace.turn_after(at + 0.001)
        assert turn == pytest.approx(again)
        assert 0.03 <= turn - at < 0.09 + 0.001
