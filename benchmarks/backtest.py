"""`make bench-backtest`: `make backtest` on MovieLens-100K, does the hybrid's lead hold over time?

Four dates; at each the rows after it do not exist, the last tenth of the catalogue's rows before it is test, the tenth
before that validation. Options, weights and boosts are chosen anew at each date. Dates that are done stay in
data/08_reporting/backtest: an interrupted run goes on.
"""

from typing import Any

from catalogues import RESULTS, ROOT, about, rounded, write

from tailor.backtesting.command import backtest
from tailor.evaluation.backtest import BOOSTS_OFF, FIGURES, HYBRID, DateResult, mean_over_dates

SEED = 0
TARGETS = {
    "dates_warm_ahead": "4: without boosts, warm NDCG of the best baseline is exceeded at every date (low > 0)",
    "dates_cold_ahead": "4, likewise",
    "mean_warm_ratio": ">= 1.05 of the best baseline's mean",
}


def report(results: list[DateResult]) -> dict[str, Any]:
    """Return the figures of all dates, their means, and on how many dates the hybrid is ahead or behind."""
    means = mean_over_dates(results)
    headline: dict[str, float] = {}
    for number, result in enumerate(results, start=1):
        for lead in result.leads:
            name = f"date_{number}_{lead.model}_{lead.figure}"
            headline |= {f"{name}_{key}": getattr(lead, key) for key in ("difference", "low", "high")}
        for model, row in result.table.items():
            headline |= {f"date_{number}_{model}_{figure}": value for figure, value in row.items()}
    headline |= {f"mean_{model}_{figure}": value for model, row in means.items() for figure, value in row.items()}
    for figure in FIGURES:
        every = (lead for result in results for lead in result.leads)
        compared = [lead for lead in every if (lead.model, lead.figure) == (BOOSTS_OFF, figure)]
        headline[f"dates_{figure}_ahead"] = sum(lead.low > 0 for lead in compared)
        headline[f"dates_{figure}_behind"] = sum(lead.high < 0 for lead in compared)
    best = max(row["warm"] for model, row in means.items() if model not in (HYBRID, BOOSTS_OFF))
    headline["mean_warm_ratio"] = means[BOOSTS_OFF]["warm"] / best
    dates = [{key: value for key, value in result.to_json().items() if key != "table"} for result in results]
    return {"headline": rounded(headline), "targets": TARGETS, "dates": dates}


def main() -> None:
    """Run or go on, and write the figures."""
    results = backtest(None, str(ROOT / "conf"), ROOT, {}, SEED)
    write(RESULTS / "backtest.json", report(results) | about("make bench-backtest", [SEED]))


if __name__ == "__main__":
    main()
