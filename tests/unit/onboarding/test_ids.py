import pandas as pd
import pytest

from tailor import columns as c
from tailor.errors import BadInputError
from tailor.onboarding.ids import check_fixed, choose_join, choose_user
from tailor.onboarding.tables import TEXT, RawTable
from tests.unit.onboarding.conftest import shop_customers, shop_orders, shop_products


def table(name: str, frame: pd.DataFrame) -> RawTable:
    return RawTable(name, frame, len(frame), True, TEXT)


def joined(interactions: pd.DataFrame, items: pd.DataFrame, **fixed: str) -> tuple[str, str]:
    left, right = choose_join(c.ITEM, table("orders.csv", interactions), table("items.csv", items), fixed)
    return left.theirs, right.theirs


def test_ids_meet_by_name_and_values():
    left, right = choose_join(c.ITEM, table("orders.csv", shop_orders()), table("products.csv", shop_products()), {})
    assert (left.ours, left.theirs, left.reason) == ("item_id", "sku", "100 % of its values are in products.csv")
    assert (right.ours, right.theirs) == ("item_id", "sku")
    user, _ = choose_join(c.USER, table("orders.csv", shop_orders()), table("customers.csv", shop_customers()), {})
    assert user.theirs == "customer"


def test_the_share_that_meets_is_said():
    orders = pd.DataFrame({"customer": list("abcd"), "sku": ["00", "01", "02", "09"]})
    left, _ = choose_join(c.ITEM, table("o", orders), table("p", shop_products()), {})
    assert left.reason == "75 % of its values are in p"  # 3 of 4: there is no product 09


def test_names_that_say_nothing_are_found_out_by_values():
    """Users count from 1 as items do: the items' numbers cover both, but only one column uses all of them."""
    rows = [(user, 1 + (user * 7 + step) % 30) for user in range(1, 13) for step in range(5)]
    interactions = pd.DataFrame(rows, columns=["a", "b"])
    items = pd.DataFrame({"x": range(1, 31), "y": [f"Thing {n}" for n in range(30)]})
    assert joined(interactions, items) == ("b", "x")
    assert choose_user(table("o", interactions), {}, ["b"]).theirs == "a"


def test_a_usual_name_of_a_user_is_no_item_though_its_values_meet():
    interactions = pd.DataFrame({"userId": [1, 2, 3] * 3, "thing": [1, 1, 1, 2, 2, 2, 4, 4, 4]})
    assert joined(interactions, pd.DataFrame({"id": [1, 2, 3, 4], "name": list("abcd")})) == ("thing", "id")


def test_whole_numbers_meet_whatever_their_type():
    interactions = pd.DataFrame({"user": ["u", "v"], "item": ["1", "2"]})
    assert joined(interactions, pd.DataFrame({"id": [1.0, 2.0, None], "name": list("abc")})) == ("item", "id")


def test_what_the_caller_says_wins():
    interactions = shop_orders().assign(other=shop_orders()["sku"])
    assert joined(interactions, shop_products(), item_id="other") == ("other", "sku")
    assert choose_user(table("o", interactions), {"user_id": "stars"}, []).reason == "as you said"


def test_no_ids_meet():
    items = pd.DataFrame({"item_id": ["x1", "x2"], "title": ["a", "b"]})
    with pytest.raises(
        BadInputError, match=r"ids of orders.csv are not in items.csv: 'sku' .*'00', 'item_id' like 'x1'"
    ):
        joined(shop_orders(), items)
    with pytest.raises(BadInputError, match=r"No columns of orders.csv and items.csv can be item_id"):
        joined(shop_orders(), pd.DataFrame({"date": ["2020-01-01", "2020-01-02"]}))


def test_nobody_acted():
    with pytest.raises(BadInputError, match=r'orders.csv: no column says who acted.* MAP="user_id=COLUMN"'):
        choose_user(table("orders.csv", shop_orders()[["sku", "stars"]]), {}, ["sku"])


def test_a_column_that_is_not_there_is_refused():
    tables = [table("o", shop_orders())]
    with pytest.raises(BadInputError, match=r"no table has a column 'custmer'. Did you mean 'customer'\?"):
        check_fixed({"user_id": "custmer"}, tables)
    with pytest.raises(BadInputError, match="only user_id and item_id are mapped so"):
        check_fixed({"value": "stars"}, tables)
    check_fixed({"user_id": "customer"}, tables)
