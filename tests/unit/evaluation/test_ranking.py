"""Lists as a long table, and back."""

import numpy as np
import pandas as pd

from tailor.evaluation.ranking import to_frame, to_lists

LISTS = np.array([[3, 1, 0], [2, -1, -1], [0, 1, 2]])


def test_lists_survive_the_trip_through_the_table():
    user_ids, item_ids = pd.Series(["u", "v", "w"], dtype="str"), pd.Series(list("abcd"), dtype="str")
    frame = to_frame((LISTS, np.zeros(LISTS.shape, np.float32)), np.array([2, 0, 1]), user_ids, item_ids)
    users, lists = to_lists(frame.sample(frac=1, random_state=0), user_ids, item_ids, 3)
    assert users.tolist() == [0, 1, 2]
    assert lists.tolist() == [LISTS[1].tolist(), LISTS[2].tolist(), LISTS[0].tolist()]
