"""`make bench-backtest`: `make backtest` on MovieLens-100K, does the hybrid's lead hold over time?

Four dates; at each the rows after it do not exist, the last tenth of the catalogue's rows before it is test, the tenth
before that validation. Options, weights and boosts are chosen anew at each date. Dates that are done stay in
data/08_reporting/backtest: an interrupted run goes on.
"""

from dataclasses import asdict

from catalogues import RESULTS, ROOT, about, rounded, write

from tailor.backtesting.command import backtest
from tailor.evaluation.backtest import BOOSTS_OFF, HYBRID, mean_over_dates

SEED = 0
TARGETS = {
    "dates_warm_ahead": "4: without boosts, warm NDCG of the best baseline is exceeded at every date (low > 0)",
    "dates_cold_ahead": "4, likewise",
    "mean_warm_ratio": ">= 1.05 of the best baseline's mean",
}


def main() -> None:
    """Run or go on, and write the figures."""
    results = backtest(None, str(ROOT / "conf"), ROOT, {}, SEED)
    means = mean_over_dates(results)
    headline: dict[str, float] = {}
    for number, result in enumerate(results, start=1):
        for lead in result.leads:
            name = f"date_{number}_{lead.model}_{lead.figure}"
            headline |= {f"{name}_{key}": getattr(lead, key) for key in ("difference", "low", "high")}
        for model, row in result.table.items():
            headline |= {f"date_{number}_{model}_{figure}": value for figure, value in row.items()}
    headline |= {f"mean_{model}_{figure}": value for model, row in means.items() for figure, value in row.items()}
    for figure in ("warm", "tail", "cold", "mixed"):
        found = [
            lead for result in results for lead in result.leads if (lead.model, lead.figure) == (BOOSTS_OFF, figure)
        ]
        headline[f"dates_{figure}_ahead"] = sum(lead.low > 0 for lead in found)
        headline[f"dates_{figure}_behind"] = sum(lead.high < 0 for lead in found)
    best = max(row["warm"] for model, row in means.items() if model not in (HYBRID, BOOSTS_OFF))
    headline["mean_warm_ratio"] = means[BOOSTS_OFF]["warm"] / best
    dates = [
        {"until": result.until, "counts": result.counts, "fit_on": result.fit_on, "seconds": result.seconds}
        | {"leads": [asdict(lead) for lead in result.leads]}
        for result in results
    ]
    content = {"headline": rounded(headline), "targets": TARGETS, "dates": dates}
    write(RESULTS / "backtest.json", content | about("make bench-backtest", [SEED]))


if __name__ == "__main__":
    main()
