"""Adapters of domains: the same word may mean opposite things in two domains, and only they can say so."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
from scipy import sparse

from tailor.datasets import AdapterDataset
from tailor.errors import ConfigurationError
from tailor.lm.config import DomainAdapterOptions, KernelLossOptions, LMOptions, ObjectiveOptions, PeftOptions
from tailor.lm.domain_adapters import pooled_by_domain, tune_domains
from tailor.lm.encoder import encode, load_base, tokenise
from tailor.lm.kernel_ridge import LeftOut, predict
from tailor.lm.model import ColdRanking, ridge_head
from tailor.lm.objective import Examples, KernelObjective, Landmarks, QuadraticObjective
from tailor.lm.peft import attach, attach_domain
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.trainer import Start, Tuning, tune
from tailor.lm.training_data import TrainingData
from tailor.lm.whitening import Whitening

PER_DOMAIN, N_USERS = 60, 80
WORDS = (["war", "battle", "soldier"], ["romance", "wedding", "love"])
FILL = ["old", "new", "slow", "long", "short", "dark", "bright", "quiet", "loud", "strange"]


@pytest.fixture(scope="module")
def catalogue():
    """Films and books of the same texts; whoever takes war films takes romances among the books."""
    rng, n = np.random.default_rng(0), 2 * PER_DOMAIN
    word = np.arange(n) % 2
    of_films = np.arange(n) < PER_DOMAIN
    camp, taste = np.where(of_films, word, 1 - word), rng.integers(0, 2, N_USERS)
    X = (rng.random((N_USERS, n)) < np.where(taste[:, None] == camp, 0.4, 0.04)).astype(np.float32)
    text = [f"{rng.choice(FILL)} {rng.choice(WORDS[w])} {rng.choice(FILL)}" for w in word]
    part = np.arange(n) // 2 % 5
    data = TrainingData(
        pieces=[[each] for each in text],
        user_factors=np.eye(2, dtype=np.float32)[taste] + 0.05 * rng.normal(size=(N_USERS, 2)).astype(np.float32),
        item_factors=np.eye(2, dtype=np.float32)[camp],
        train=sparse.csr_matrix(X),
        trainable=part > 1,
        stop_on=part == 0,
    )
    return data, {"films": of_films, "books": ~of_films}, part == 1


@pytest.fixture(scope="module")
def options_of(encoder):
    def changed(**changes):
        given = {"encoder": encoder, "epochs": 2, "batch_size": 8, "learning_rate": 5e-3}
        return LMOptions(**given | {"domains": DomainAdapterOptions(rank=4, epochs=6)} | changes)

    return changed


@pytest.fixture(scope="module")
def tuned(catalogue, options_of):
    data, domains, _ = catalogue
    return tune_domains(data, options_of(), 0, domains)


def texts_of(data):
    return [pieces[0] for pieces in data.pieces]


def without_domains(adapter):
    return replace(adapter, domains={})


def cold_ndcg(catalogue, options, adapter, domain):
    """NDCG of lists of a domain's cold items, whose factors the kernel predicts from the items of both domains."""
    data, domains, cold = catalogue
    pooled = pooled_by_domain(adapter, tokenise(texts_of(data), options.encoder), options, domains)
    rows = pooled - pooled[data.trainable].mean(axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    some = cold & domains[domain]
    factors = predict(rows[data.trainable], data.item_factors[data.trainable], rows[some], KernelLossOptions())
    return ColdRanking(replace(data, stop_on=some), 0).ndcg(factors, k=5)


def same(adapter, other):
    assert adapter.provenance == other.provenance
    assert list(adapter.domains) == list(other.domains)
    for key, value in (adapter.weights | adapter.head).items():
        torch.testing.assert_close(value, (other.weights | other.head)[key], rtol=0, atol=0)
    for name, part in adapter.domains.items():
        same(part, other.domains[name])


def test_a_word_may_mean_opposite_things(catalogue, options_of, tuned):
    for domain in ("films", "books"):
        before, after = (
            cold_ndcg(catalogue, options_of(), adapter, domain) for adapter in (without_domains(tuned[0]), tuned[0])
        )
        assert after > before + 0.1


def test_the_history_of_each_is_in_its_provenance(tuned):
    assert "films" in tuned[0].domains
    for name, part in tuned[0].domains.items():
        provenance = part.provenance
        assert (provenance["domain"], part.config["r"]) == (name, 4)
        ndcg = {row["epoch"]: row["cold_ndcg"] for row in provenance["history"]}
        assert ndcg[provenance["epoch"]] == max(ndcg.values()) > ndcg[0]
        assert provenance["history"][0]["loss"] is None


def test_the_shared_adapter_is_that_of_a_run_of_its_own(catalogue, options_of, tuned):
    plain, history = tune(catalogue[0], options_of(domains=None), 0)
    assert history[1:] == tuned[1][1:]
    for key, value in (plain.weights | plain.head).items():
        torch.testing.assert_close(value, (tuned[0].weights | tuned[0].head)[key], rtol=0, atol=0)


def test_off_and_one_domain_are_the_shared_adapter_alone(catalogue, options_of, caplog):
    data, domains, _ = catalogue
    off, _ = tune_domains(data, options_of(domains=None, epochs=1), 0, domains)
    assert off.domains == {}
    assert "lm_finetuning.domains" not in caplog.text
    one, _ = tune_domains(data, options_of(epochs=1), 0, {})
    assert one.domains == {}
    assert "lm_finetuning.domains is set, but the catalogue is one domain" in caplog.text
    torch.testing.assert_close(off.head["weight"], one.head["weight"], rtol=0, atol=0)


@pytest.mark.parametrize("stage", ["shared", "films", "books"])
def test_a_killed_tuning_goes_on_to_the_same_result(catalogue, options_of, tmp_path, monkeypatch, stage):
    data, domains, _ = catalogue
    options = options_of(epochs=1, patience=1, domains=DomainAdapterOptions(epochs=2))
    options = options.model_copy(update={"checkpoint": str(tmp_path / "lm.safetensors")})
    run_epoch, ran = Tuning.run_epoch, []

    def run(tuning, dies_in=""):
        run_epoch(tuning)
        names = [name for name in domains if np.array_equal(tuning.data.pieces, data.of_items(domains[name]).pieces)]
        ran.append("shared" if tuning.start is None else names[0])
        if ran[-1] == dies_in:
            tuning.save()
            raise KeyboardInterrupt

    monkeypatch.setattr(Tuning, "run_epoch", run)
    whole, history = tune_domains(data, options, 0, domains)
    at_once = list(ran)
    ran.clear()
    monkeypatch.setattr(Tuning, "run_epoch", lambda tuning: run(tuning, stage))
    with pytest.raises(KeyboardInterrupt):
        tune_domains(data, options, 0, domains)
    assert list(tmp_path.iterdir())
    monkeypatch.setattr(Tuning, "run_epoch", run)
    again, history_again = tune_domains(data, options, 0, domains)
    same(again, whole)
    assert history_again[1:] == history[1:]
    assert ran == at_once  # no epoch was run again
    assert not list(tmp_path.iterdir())


def test_a_domain_is_tuned_beside_the_others_as_they_are_read_by_then(catalogue, options_of, tuned, monkeypatch):
    data, domains, _ = catalogue
    starts, init = [], Tuning.__init__

    def record(tuning, data, options, seed, start=None):
        starts.append(start)
        init(tuning, data, options, seed, start)

    monkeypatch.setattr(Tuning, "__init__", record)
    tune_domains(data, options_of(), 0, domains)
    _, films, books = starts
    tokens = tokenise(texts_of(data), options_of().encoder)
    for start, of_others, adapter in (
        (films, domains["books"], without_domains(tuned[0])),
        (books, domains["films"], tuned[0]),
    ):
        rows = pooled_by_domain(adapter, tokens, options_of(), domains)[of_others & data.trainable] - start.centre
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        shown = start.beside.embedded[np.lexsort(start.beside.embedded.T)]
        np.testing.assert_allclose(shown, rows[np.lexsort(rows.T)], atol=1e-5)
    np.testing.assert_array_equal(films.centre, books.centre)


def test_a_checkpoint_is_taken_up_from_the_same_start_alone(catalogue, options_of, tuned, tmp_path):
    """Another domain that was read otherwise is another training."""
    data, domains, _ = catalogue
    part = data.of_items(domains["films"])
    options = options_of(checkpoint=str(tmp_path / "lm.safetensors")).of_domain(0)
    m = tuned[0].head["weight"].shape[1] - 1
    beside = Landmarks(np.eye(3, m, dtype=np.float32), np.ones((3, 2), np.float32))
    start = Start(without_domains(tuned[0]), np.zeros(m, np.float32), tuned[0].head["weight"], beside)
    first = Tuning(part, options, 0, start)
    first.run_epoch()
    first.save()
    other = replace(start, beside=replace(beside, embedded=beside.embedded[::-1]))
    for given, done in ((start, 1), (other, 0), (replace(start, centre=start.centre + 1), 0)):
        again = Tuning(part, options, 0, given)
        again.resume()
        assert again.done == done


def test_a_folder_holds_the_adapters_of_domains(tuned, tmp_path):
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(tuned[0])
    same(dataset.load(), tuned[0])
    dataset.save(without_domains(tuned[0]))
    assert dataset.load().domains == {}


def test_peft_reads_both_adapters_as_active_at_once(catalogue, options_of, tuned):
    """What we merge one after the other is what PEFT computes with two named adapters."""
    adapter, options, data = tuned[0], options_of(), catalogue[0]
    tokens, domain = tokenise(texts_of(data)[:20], options.encoder), next(iter(tuned[0].domains))
    base, parts = load_base(options.encoder), {"shared": adapter, "domain": adapter.domains[domain]}
    configs = {
        name: PeftConfig.from_peft_type(**{k: v for k, v in part.config.items() if v is not None})
        for name, part in parts.items()
    }
    model = get_peft_model(base, configs["shared"], adapter_name="shared")
    model.add_adapter("domain", configs["domain"])
    for name, part in parts.items():
        set_peft_model_state_dict(model, part.weights, adapter_name=name)
    model.base_model.set_adapter(["shared", "domain"])
    merged = attach_domain(load_base(options.encoder), adapter, domain, options.encoder)
    np.testing.assert_allclose(encode(merged, tokens, 8), encode(model, tokens, 8), atol=2e-2)
    shared = encode(attach(load_base(options.encoder), adapter, options.encoder), tokens, 8)
    assert np.abs(encode(merged, tokens, 8) - shared).max() > 0.1


class TestTextEncoder:
    @pytest.fixture(scope="class")
    def whitening(self, catalogue, options_of, tuned):
        data, domains, _ = catalogue
        tokens = tokenise(texts_of(data), options_of().encoder)
        pooled = pooled_by_domain(tuned[0], tokens, options_of(), domains)
        return Whitening.fit(pooled, data.trainable, "none", 0.1), pooled

    @pytest.mark.parametrize("weights", ["fp32", "int8"])
    def test_a_package_reads_texts_of_each_domain_as_the_catalogue_was(
        self, catalogue, options_of, tuned, whitening, weights, tmp_path
    ):
        data, domains, _ = catalogue
        whitened, pooled = whitening
        encoder = TextEncoder.merge(tuned[0], whitened, options_of().encoder)
        encoder.save(tmp_path / "encoder", weights)
        loaded = TextEncoder.load(tmp_path / "encoder")
        assert list(loaded.domains) == list(tuned[0].domains)
        expected, texts = whitened.apply(pooled), np.array(texts_of(data), dtype=object)
        for name, items in domains.items():
            for reader, least in ((encoder, 0.999), (loaded, 0.999 if weights == "fp32" else 0.98)):
                rows = reader.of_domain(name).encode(texts[items].tolist())
                assert (rows * expected[items]).sum(axis=1).min() > least
        moved = (encoder.encode(texts.tolist()) * expected).sum(axis=1)
        assert moved[domains["films"]].min() < 0.9

    def test_weights_that_no_adapter_of_a_domain_changes_are_in_memory_once(self, options_of, tuned, whitening):
        encoder = TextEncoder.merge(tuned[0], whitening[0], options_of().encoder)
        (name, *_) = encoder.domains
        own = encoder.of_domain(name)
        assert own is encoder.of_domain(name)
        table = "embeddings.word_embeddings.weight"
        tables = [dict(each.model.named_parameters())[table] for each in (encoder, own)]
        assert tables[0] is tables[1]
        assert encoder.of_domain("of no domain") is encoder

    def test_without_adapters_of_domains_the_folder_is_as_before(self, options_of, tuned, whitening, tmp_path):
        TextEncoder.merge(without_domains(tuned[0]), whitening[0], options_of().encoder).save(tmp_path / "encoder")
        assert not (tmp_path / "encoder" / "domains").exists()
        assert "domains" not in (tmp_path / "encoder" / "tailor.json").read_text()


def test_a_domain_with_fewer_items_than_a_batch_has_the_shared_adapter(catalogue, options_of, caplog):
    data, domains, _ = catalogue
    few = domains["books"] & (np.cumsum(domains["books"] & data.trainable) <= 7)
    adapter, _ = tune_domains(data, options_of(epochs=1), 0, {"books": few})
    assert adapter.domains == {}
    assert "Domain books: 7 items to tune on, fewer than a batch" in caplog.text


@pytest.mark.parametrize(
    "changes", [{"objective": ObjectiveOptions(name="contrastive")}, {"peft": PeftOptions(peft_type="FULL")}]
)
def test_other_objectives_and_types_have_adapters_of_domains(catalogue, options_of, changes):
    data, domains, _ = catalogue
    options = options_of(epochs=1, domains=DomainAdapterOptions(rank=2, epochs=1), **changes)
    one = tune_domains(replace(data, stop_on=np.zeros_like(data.stop_on)), options, 0, domains)[0]  # no epoch is worse
    assert {name: part.config["r"] for name, part in one.domains.items()} == {"films": 2, "books": 2}
    assert all(torch.isfinite(value).all() for part in one.domains.values() for value in part.weights.values())


def test_a_shared_adapter_that_cannot_be_merged_is_refused(catalogue, options_of, monkeypatch):
    data, domains, _ = catalogue
    options = options_of(epochs=1, peft=PeftOptions(peft_type="PROMPT_TUNING"))
    monkeypatch.setattr(Tuning, "run_epoch", lambda _: pytest.fail("it is refused before it is tuned"))
    with pytest.raises(ConfigurationError, match=r"domains needs a shared adapter that can be merged.*PROMPT_TUNING"):
        tune_domains(data, options, 0, domains)


class TestOptions:
    def test_a_domain_has_a_lora_of_its_own_rank_and_file(self):
        options = LMOptions(
            domains=DomainAdapterOptions(rank=3, epochs=7), checkpoint="a/b", adapter_from="x", epochs=1,
            peft=PeftOptions(peft_type="LORA", r=16, target_modules=["query"]),
        ).of_domain(2)  # fmt: skip
        assert options.peft.settings == {"r": 3, "lora_alpha": 6, "target_modules": ["query"]}
        assert (options.epochs, options.checkpoint) == (7, "a/b.2")
        assert options.adapter_from is None is options.domains

    def test_other_types_lend_it_no_keys(self):
        options = LMOptions(domains=DomainAdapterOptions(), peft=PeftOptions(peft_type="FULL")).of_domain(0)
        assert options.peft.settings == {"r": 4, "lora_alpha": 8}
        assert options.checkpoint is None

    def test_without_domains_there_is_none(self):
        with pytest.raises(ConfigurationError, match=r"lm_finetuning\.domains is null"):
            LMOptions().of_domain(0)


def test_a_head_is_pulled_to_another_one():
    """With one embedding e of length 1 and no bias in play: W = W0 + (v - W0 e) e / (1 + λ) along [e, 1]."""
    e, v, toward = np.array([[1.0, 0.0]], np.float32), np.array([[2.0]], np.float32), torch.tensor([[1.0, 5.0, 0.0]])
    ones = np.ones(1, np.float32)
    x = np.array([1.0, 0.0, 1.0])
    for ridge in (1.0, 1e6):
        pulled = ridge_head(e, v, ones, ridge, toward).numpy()[0]
        np.testing.assert_allclose(pulled, toward.numpy()[0] + (2.0 - 1.0) * x / (x @ x + ridge), atol=1e-5)
    np.testing.assert_allclose(ridge_head(e, v, ones, 1.0).numpy()[0], 2.0 * x / (x @ x + 1.0), atol=1e-5)


def test_items_beside_predict_and_are_no_part_of_the_loss():
    """The loss is that of the kernel over all items, of the first ones alone; its gradient is that of autograd."""
    rng, n, c = np.random.default_rng(0), 6, 4
    e = rng.normal(size=(n + c, 3)).astype(np.float32)
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    users, V = rng.normal(size=(9, 2)).astype(np.float32), rng.normal(size=(n + c, 2)).astype(np.float32)
    train = sparse.csr_matrix((rng.random((9, n)) < 0.4).astype(np.float32))
    quadratic, options = QuadraticObjective(users, train, torch.zeros(2, 4), 0.1, 0.5), KernelLossOptions()
    objective = KernelObjective(quadratic, V[:n], options, Landmarks(e[n:], V[n:]))
    rows = np.arange(n)
    objective.begin(rows, lambda some: e[some])
    embedded = torch.from_numpy(e[:n].copy()).requires_grad_()
    loss = objective(Examples(rows, embedded))
    loss.backward()
    every = torch.from_numpy(e[:n].copy()).double().requires_grad_()
    joined = torch.cat([every, torch.from_numpy(e[n:]).double()])
    solution = LeftOut.solve(joined, torch.from_numpy(V).double(), options.width, options.ridge)
    direct = quadratic.of_factors(solution.predicted()[:n].float(), rows)
    direct.backward()
    assert loss.item() == pytest.approx(direct.item(), rel=1e-5)
    np.testing.assert_allclose(embedded.grad.numpy(), every.grad.numpy(), rtol=1e-3, atol=1e-4)
