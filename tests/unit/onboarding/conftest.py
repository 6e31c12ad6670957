"""A toy shop in names that are not Tailor's."""

from pathlib import Path

import pandas as pd
import pytest

N_USERS, N_ITEMS = 12, 8
KINDS = ["tea", "cup", "pot"]


def shop_orders() -> pd.DataFrame:
    """Twelve customers rate four products each, in stars, on different days."""
    pairs = [(user, (user + 3 * step) % N_ITEMS) for user in range(N_USERS) for step in range(4)]
    return pd.DataFrame(
        {
            "customer": [f"c{user:03d}" for user, _ in pairs],
            "sku": [f"0{item}" for _, item in pairs],
            "stars": [1 + row % 5 for row in range(len(pairs))],
            "bought": [1_400_000_000 + 86_400 * row for row in range(len(pairs))],
        }
    )


def shop_products() -> pd.DataFrame:
    """Eight products with a name, kinds between bars, and a picture."""
    return pd.DataFrame(
        {
            "sku": [f"0{item}" for item in range(N_ITEMS)],
            "Product Name": [f"Müller {KINDS[item % 3]} number {item}" for item in range(N_ITEMS)],
            "tags": ["|".join(KINDS[: 1 + item % 3]) for item in range(N_ITEMS)],
            "picture": [f"https://shop.example/{item}.jpg" for item in range(N_ITEMS)],
        }
    )


def shop_customers() -> pd.DataFrame:
    """Twelve customers with an age, a town and an address of electronic mail."""
    return pd.DataFrame(
        {
            "customer": [f"c{user:03d}" for user in range(N_USERS)],
            "age": [20 + user % 5 for user in range(N_USERS)],
            "Town": [["Graz", "Wels"][user % 2] for user in range(N_USERS)],
            "email": [f"c{user}@shop.example" for user in range(N_USERS)],
        }
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the toy shop as CSV files."""
    folder = tmp_path / "shop"
    folder.mkdir()
    shop_orders().to_csv(folder / "orders.csv", index=False)
    shop_products().to_csv(folder / "products.csv", index=False)
    shop_customers().to_csv(folder / "customers.csv", index=False)
    return folder
