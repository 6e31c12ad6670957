import pytest

from tailor.onboarding.wording import about, percent, wrapped


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (1, "100 %"), (0.98, "98 %"), (0.99996, "99.9 %"), (0.00001, "under 0.1 %"), (0.333, "33.3 %")],
)
def test_all_and_none_are_said_only_of_all_and_none(share, words):
    assert percent(share) == words


def test_estimates_have_two_figures():
    assert [about(number) for number in (0, 7, 84, 1_249, 518_797)] == [0, 7, 84, 1_200, 520_000]


def test_comments_stay_comments_whatever_the_data_hold():
    assert wrapped("one\ntwo", 2) == "  # one two"
    long = wrapped(" ".join(["word"] * 40), 4).splitlines()
    assert len(long) == 2 and all(line.startswith("    # word") and len(line) <= 120 for line in long)
