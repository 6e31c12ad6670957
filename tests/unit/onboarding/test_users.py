import pandas as pd

from tailor.onboarding.tables import TEXT, RawTable
from tailor.onboarding.users import describe_users
from tests.unit.onboarding.conftest import shop_customers


def described(frame: pd.DataFrame, user: str):
    return describe_users(RawTable("users.csv", frame, len(frame), True, TEXT), user)


def test_a_shop():
    columns = described(shop_customers(), "customer")
    assert {choice.ours: choice.theirs for choice in columns.columns} == {"age": "age", "town": "Town"}
    assert columns.columns[0].reason == "numbers from 20 to 24"
    assert dict(columns.unused) == {"email": "a name, an address or a code of a place; it groups nobody"}


def test_what_groups_nobody_is_left_out():
    n = 100
    frame = pd.DataFrame(
        {
            "id": range(n),
            "code": [f"{n:05d}A" for n in range(n)],
            "zip_code": [1000 + n % 9 for n in range(n)],
            "ticket": range(1000, 1000 + n),
            "joined": ["2020-01-01"] * n,
            "same": ["x"] * n,
            "blank": [None] * n,
            "n_train": [n % 3 for n in range(n)],
        }
    )
    columns = described(frame, "id")
    assert [choice.ours for choice in columns.columns] == ["user_n_train"]  # n_train is a column of Tailor's
    assert dict(columns.unused) == {
        "code": "100 different texts among 100 users",
        "zip_code": "a name, an address or a code of a place; it groups nobody",
        "ticket": "a different number for every user",
        "joined": "the same in all rows",
        "same": "the same in all rows",
        "blank": "empty",
    }
