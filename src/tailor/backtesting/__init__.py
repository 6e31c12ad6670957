"""``tailor backtest``: the recipe of an environment judged at several dates."""
