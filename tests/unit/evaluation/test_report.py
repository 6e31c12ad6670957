"""The report: one page that fetches nothing and says what the figures say."""

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from tailor.evaluation.report import Material, build, by_cutoff, by_domain, heat_map, in_people, unmeasured


def comparisons(verdict="better", difference=0.02):
    rows = [
        ("mixed", "ours", "popular", difference + 0.1, 0.1, 0.2, verdict),
        ("mixed", "ours", "ease", difference, 0.01, 0.03, verdict),
        ("cold", "ours", "popular", 0.3, 0.2, 0.4, "no difference shown"),
        ("cold", "ours", "ease", 0.2, 0.1, 0.3, "no difference shown"),
    ]
    table = pd.DataFrame(rows, columns=["headline", "model", "against", "difference", "low", "high", "verdict"])
    return table.assign(ratio=1.1, ratio_low=1.05, ratio_high=1.15, adjusted_p=0.01, n_users=100)


SUMMARY = pd.DataFrame(
    {
        "model": ["ours", "popular", "ease"],
        "mixed NDCG": [0.30, 0.10, 0.28],
        "cold NDCG": [0.20, np.nan, np.nan],
    }
)


@pytest.fixture
def summary():
    from tailor.metrics.base import compared_headlines

    titles = {name: headline.title for name, (_, headline) in compared_headlines().items()}
    return SUMMARY.rename(columns={"mixed NDCG": titles["mixed"], "cold NDCG": titles["cold"]})


def metrics():
    rows = [
        (model, item_bucket, user_bucket, value)
        for model, value in (("ours", 0.4), ("ease", 0.2))
        for item_bucket, user_bucket in (("all", "all"), ("tail", "all"), ("all", "q1"))
    ]
    table = pd.DataFrame(rows, columns=["model", "item_bucket", "user_bucket", "value"])
    return table.assign(split="test", candidates="mixed", metric="ndcg", k=20, n_users=7)


STORY = {
    "name": "A new user: 3 known items",
    "chosen": "Of 9 new users, 4 have one.",
    "history": "one; two",
    "column": "item",
    "rows": [
        {"rank": 1, "hit": True, "title": "<b>Bold</b>", "bucket": "tail", "why": "factors 60%"},
        {"domain": "books", "rank": 1, "hit": False, "title": "Emma", "bucket": "head", "why": "text"},
    ],
    "truth": [
        {"title": "<b>Bold</b>", "bucket": "tail", "hit": True},
        {"title": "Ulysses", "bucket": "cold", "hit": False},
    ],
}
RUN = {
    "catalogue": {"name": "MovieLens-100K", "licence": "for research", "source": "https://example.org/licence"},
    "times": {"present": True, "readable": True, "first": "1997-09-20", "last": "1998-04-23"},
    "written": "2026-11-27",
    "chosen": {
        "options": {"ease": {"regularization": 50.0}},
        "weights": {"warm": {"ials": 0.625}, "cold": {"ials": 0.375}},
        "boosts": {"tail_boost": 0.2, "cold_shift": -0.5},
        "registered_boosts": {"tail_boost": 0.4},
        "rerank": {"method": "mmr", "strength": 0.3},
    },
    "costs": [
        {
            "stage": "hybrid_cf",
            "steps": 9,
            "seconds": 61.5,
            "peak GiB": 1.3,
            "longest step": "lora.fit",
            "its seconds": 40.0,
        }
    ],
    "provenance": {"git_commit": "abc123"},
}


def material(summary, **changes):
    empty = pd.DataFrame({"model": []})
    sizes = [("interactions by split", "train", 1000), ("items by bucket", "head", 20), ("items by bucket", "tail", 30)]
    fields = {
        "registered": "ours",
        "fit_on": "train",
        "k": 20,
        "summary": summary,
        "comparisons": comparisons(),
        "metrics": metrics(),
        "clicks": empty,
        "ratings": empty,
        "seeds": empty,
        "domains": metrics().iloc[:0].assign(domain="", candidates=""),
        "domain_boosts": pd.DataFrame(columns=["domain", "cold_boost", "tail_boost"]),
        "accounts": pd.DataFrame({"table": ["items"], "rows_in": [9], "kept": [6]}),
        "quality": pd.DataFrame({"problem": ["missing item_id"], "rows": [3]}),
        "data_summary": pd.DataFrame(sizes, columns=["what", "bucket", "count"]),
        "group_figures": pd.DataFrame({"group": ["niche"], "value": [0.1234]}),
        "group_gaps": pd.DataFrame({"grouping": ["taste"], "best": ["blockbuster"], "gap": [0.0625]}),
        "user_quantiles": pd.DataFrame({"model": ["ours"], "q05": [0.0321]}),
        "stories": [STORY],
        "visit": [
            {"step": "One like", "given": "<i>it</i>", "path": "fold_in", "titles": ["near", "far"], "note": ""},
            {"step": "Why", "given": "near", "path": "", "titles": [], "note": "because of it"},
        ],
        "figures": {name: go.Figure() for name in ("comparison", "trade_off", "frontier", "calibration", "training")},
        "run": RUN,
    }
    return Material(**(fields | changes))


@pytest.mark.parametrize(
    ("verdict", "sign", "sentence"),
    [
        (
            "better",
            1,
            "Against the best baseline, ours is better on mixed NDCG (+10 % [+5 %, +15 %]); no difference is",
        ),
        ("worse", -1, "Against the best baseline, ours is worse on mixed NDCG (+10 % [+5 %, +15 %]); no difference is"),
        ("no difference shown", 1, "Against the best baseline, no difference of ours is shown on mixed NDCG and cold"),
    ],
)
def test_the_page_begins_with_the_verdict_in_a_sentence(summary, verdict, sign, sentence):
    body = build(material(summary, comparisons=comparisons(verdict, sign * 0.02))).split('<h2 id="verdict">')[1]
    lead = re.findall(r'<p class="lead">(.*?)</p>', body)
    assert lead[0].startswith(sentence)
    assert lead[1].startswith("Against plain collaborative filtering (ease)")
    row = re.findall(r"<tr>(.*?)</tr>", body)[1]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
    assert cells[:4] == ["mixed NDCG", "0.3000", "ease", "0.2800"]
    assert cells[4] == f"{sign * 0.02:+.4f} [+0.0100, +0.0300]"
    assert cells[-1] == verdict
    assert f'class="{verdict.split()[0]}">{verdict}</td>' in row


def test_the_heat_map_scales_each_bucket_to_its_best_model():
    (heat,) = heat_map(metrics(), 20).data
    assert sorted(heat.x) == ["items: all", "items: tail", "users: q1"]
    np.testing.assert_allclose(dict(zip(heat.y, heat.z, strict=True))["ours"], 1)
    np.testing.assert_allclose(dict(zip(heat.y, heat.z, strict=True))["ease"], 0.5)
    assert not heat_map(metrics(), 10).data[0].y


def test_figures_stand_at_every_cut_off_over_all_positives_and_over_those_of_known_items(summary):
    rows = [
        ("ours", bucket, metric, k, base + k / 100 + (metric == "ndcg") / 1000, n_users)
        for bucket, base, n_users in (("all", 0.1, 9), ("head", 0.9, 1), ("warm", 0.3, 7), ("known", 0.2, 8))
        for k in (10, 5)
        for metric in ("ndcg", "recall", "mrr")
    ]
    table = pd.DataFrame(rows, columns=["model", "item_bucket", "metric", "k", "value", "n_users"])
    table = table.assign(split="test", candidates="mixed", user_bucket="all")
    others = [table.assign(split="validation"), table.assign(candidates="warm"), table.assign(user_bucket="q1")]
    found = by_cutoff(pd.concat([*others, table]))
    assert list(found) == ["model", "test items", "users", "recall@5", "recall@10", "NDCG@5", "NDCG@10"]
    np.testing.assert_allclose(
        found.iloc[:, 3:],
        [[0.15, 0.2, 0.151, 0.201], [0.35, 0.4, 0.351, 0.401], [0.25, 0.3, 0.251, 0.301]],
    )
    assert found["users"].tolist() == [9, 7, 8]
    assert found["test items"].tolist() == ["all", "with a train row", "with a row in train or validation"]
    page = re.sub(r"<td [^>]*>", "<td>", build(material(summary, metrics=table)))
    assert "Recall and NDCG at every cut-off" in page
    assert "<td>with a row in train or validation</td><td>8</td><td>0.250</td>" in page


def test_the_page_says_it_all_and_fetches_nothing(summary):
    page = build(material(summary))
    for figure in (">0.123</td>", ">0.062</td>", ">0.032</td>"):  # of a group, of a gap, of a quantile
        assert figure in page
    body = page.split("<body>")[1]
    assert "src=" not in body
    for words in ("ours", "better", "no difference shown", "A new user: 3 known items", "factors 60%", "abc123"):
        assert words in body, words
    assert "mmr, strength 0.3" in body
    for chosen in (
        ">0.625</td>",
        ">0.375</td>",
        ">ease.regularization</td>",
        ">tail_boost</td>",
        ">-0.5</td>",
        ">0.4</td>",
    ):
        assert chosen in body, chosen
    for taken in (">hybrid_cf</td>", ">61.5</td>", ">1.3</td>", ">lora.fit</td>"):
        assert taken in body, taken
    assert "3 models" in page
    assert "1,000 interactions, 50 items" in page
    assert "missing item_id" in body


@pytest.mark.parametrize(
    ("fit_on", "sentence"),
    [("train", "fitted on the train rows."), ("train_and_validation", "fitted on the train and the validation rows;")],
)
def test_the_page_says_what_models_were_fitted_on(summary, fit_on, sentence):
    assert f"The models of test lists are {sentence}" in build(material(summary, fit_on=fit_on))


def test_the_page_says_of_how_many_users_figures_are(summary):
    assert build(material(summary, sample="Lists are of 2 of 9 users.")).count("Lists are of 2 of 9 users.") == 2
    assert "evaluation.max_users" not in build(material(summary))


def test_what_comes_from_the_data_is_escaped(summary):
    page = build(material(summary))
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert "<b>Bold</b>" not in page
    assert '<td data-label="item" class="wrap">books: Emma</td>' in page


def test_hits_are_marked_and_the_truth_is_shown(summary):
    section = build(material(summary)).split('<h2 id="stories">')[1].split("<h2")[0]
    rows = re.findall(r"<tr( class=\"hit\")?>(<td.*?)</tr>", section)
    assert [bool(css) for css, _ in rows] == [True, False]
    assert ">✓</td>" in rows[0][1] and "✓" not in rows[1][1]
    assert "<b>✓ &lt;b&gt;Bold&lt;/b&gt;</b> (tail); Ulysses (cold)." in section
    assert "Of 9 new users, 4 have one." in section
    assert "None: the split leaves neither" in build(material(summary, stories=[]))


def test_data_have_a_name_dates_and_a_licence(summary):
    page = build(material(summary))
    for words in (
        "MovieLens-100K",
        "from 1997-09-20 to 1998-04-23",
        "for research (https://example.org/licence)",
        "written on 2026-11-27",
    ):
        assert words in page.split('<h2 id="data">')[1], words
    bare = {"catalogue": {"name": "mine", "licence": "", "source": ""}, "times": {"present": False}}
    page = build(material(summary, run=RUN | bare))
    assert "none is stated (parameter catalogues)" in page
    assert "<dd>without times</dd>" in page
    numbers = RUN | {"times": {"present": True, "readable": False, "first": "1", "last": "9"}}
    assert "from 1 to 9 (places in an order, no dates)" in build(material(summary, run=numbers))
    assert "Nothing was written down of what the steps took." in build(material(summary, run=RUN | {"costs": []}))


def test_every_model_is_named_in_the_heat_map(summary):
    table = pd.concat([metrics().assign(model=f"m{number}") for number in range(23)])
    heat = heat_map(table, 20)
    assert list(heat.layout.yaxis.ticktext) == [f"m{number}" for number in range(23)]


def test_words_are_explained_where_they_stand(summary):
    page = build(material(summary))
    for section in ("verdict", "stories", "baselines", "buckets", "trade-offs", "chosen", "visitor"):
        assert '<details class="terms">' in page.split(f'<h2 id="{section}">')[1].split("<h2")[0], section


def test_a_visit_is_a_row_per_step(summary):
    section = build(material(summary)).split('<h2 id="visitor">')[1].split("<h2")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in section.split("<tr>")[2:]]
    assert rows == [["One like", "&lt;i&gt;it&lt;/i&gt;", "fold_in", "near; far"], ["Why", "near", "", "because of it"]]
    assert '<a href="#visitor">' in build(material(summary))


def test_what_no_model_has_is_named_and_read_as_a_dash(summary):
    cold = next(name for name in summary if "cold" in name)
    nothing = summary.assign(**{cold: np.nan})
    assert unmeasured(summary) == []
    assert unmeasured(nothing) == [cold]
    rest = comparisons().query("headline != 'cold'")
    body = build(material(nothing, comparisons=rest)).split("<body>")[1]
    assert f"Not measured, since the split leaves nothing to find: {cold}." in body
    assert body.count("<td>–</td>") == 3
    assert "Not measured" not in build(material(summary)).split("<body>")[1]


def test_each_domain_has_a_row_for_each_model():
    table = pd.DataFrame(
        [
            ("films", "ours", "warm", "all", 0.4),
            ("films", "ours", "warm", "new_to_domain", 0.3),
            ("books", "ours", "warm", "all", 0.2),
            ("films", "popular", "warm", "all", 0.1),
        ],
        columns=["domain", "model", "candidates", "user_bucket", "value"],
    ).assign(split="test", metric="ndcg", k=20, item_bucket="all")
    rows = by_domain(table, 20).set_index(["domain", "model"])
    assert rows.loc[("films", "ours")].tolist() == [0.4, 0.3]
    assert rows.loc[("films", "popular"), "warm"] == 0.1
    assert by_domain(table, 10).empty


def test_the_page_shows_domains_where_there_are_some(summary):
    assert "By domain" not in build(material(summary))
    table = metrics().assign(domain="films", candidates="warm")
    assert "By domain" in build(material(summary, domains=table))
    assert "Where the boosts stand in each domain" not in build(material(summary))
    points = pd.DataFrame({"domain": ["all", "films"], "cold_boost": [0.0, 0.125], "tail_boost": [0.25, 0.5]})
    page = build(material(summary, domain_boosts=points))
    assert "Where the boosts stand in each domain" in page
    assert re.findall(r">([^<>]+)</td>", page.split('id="domain-boosts"')[1])[3:6] == ["films", "0.125", "0.500"]


def test_a_plot_without_a_point_is_a_sentence(summary):
    figures = material(summary).figures
    empty = go.Figure().add_scatter(x=[], y=[], name="loss")
    drawn = go.Figure().add_scatter(x=[1], y=[2.0], name="loss")
    silent, plotted = (build(material(summary, figures=figures | {"training": one})) for one in (empty, drawn))
    assert "The language model was not tuned in this run." in silent
    assert 'id="training"' not in silent
    assert 'id="training"' in plotted


def test_models_are_described(summary):
    page = build(material(summary))
    assert "<dt>ease</dt><dd>Weights between all pairs of items in closed form (EASE), without texts. Items" in page


def test_hits_are_told_in_people(summary):
    hits = metrics().query("item_bucket == 'all' and user_bucket == 'all'").assign(metric="hit_rate")
    every = pd.concat([metrics(), hits, hits.query("model == 'ease'").assign(model="popular", value=0.126)])
    sentence = "Of 100 who took something later, 40 find some of it among their 20 items"
    assert in_people(every, "ours", "ease", 20) == [f"{sentence}; by the lists of others: 20 by ease, 13 by popular."]
    assert in_people(hits.query("model == 'ours'"), "ours", "ease", 20) == [f"{sentence}."]
    assert in_people(metrics(), "ours", "ease", 20) == []
    assert f'<p class="lead">{sentence}' in build(material(summary, metrics=every))
