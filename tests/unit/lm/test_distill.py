"""The token table says of texts what the encoder says that it was distilled from."""

import pytest

from tailor.lm.distill import shares
from tests.unit.lm.conftest import TEXTS


def test_it_says_of_its_texts_what_the_teacher_says(teacher, student):
    assert (student.encode(TEXTS) * teacher.encode(TEXTS)).sum(axis=1).min() > 0.97


def test_it_orders_words_it_was_not_fitted_on_as_the_teacher_does(student):
    asked, near, far = student.encode(["space war", "dark space opera", "funny romance"])
    assert asked @ near > asked @ far + 0.2


def test_shares_by_hand(student):
    token_shares = shares(student.tokens, ["space space opera", ""], len(student.table))
    assert token_shares.shape == (2, len(student.table))
    assert sorted(token_shares[[0]].data.tolist()) == pytest.approx([1 / 3, 2 / 3])
    assert token_shares[[1]].nnz == 0
