"""What holds of every type of PEFT: identity before training, the base stays, merged equals unmerged."""

import contextlib

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tailor.datasets import AdapterDataset, EncoderDataset
from tailor.errors import ConfigurationError
from tailor.lm import encoder
from tailor.lm.config import EncoderOptions, PeftOptions
from tailor.lm.encoder import encode, load_base, pool, tokenise
from tailor.lm.peft import Adapter, attach, export, extract, mergeable, peft_config, prepare, start_from, weights_hash

ENCODER = EncoderOptions(max_length=16, batch_size=4)

TEXTS = ["a slow space opera", "romance in paris", "a", "ghost ghost ghost in the haunted house on the hill", "cowboys"]

TARGETS = ["query", "key", "value", "dense"]

TYPES = {
    "LORA": {"lora_dropout": 0.0},
    "DoRA": {"peft_type": "LORA", "use_dora": True, "lora_dropout": 0.0},
    "ADALORA": {"lora_dropout": 0.0},
    "IA3": {},
    "LOHA": {"r": 4, "alpha": 8, "target_modules": TARGETS},
    "LOKR": {"r": 4, "target_modules": TARGETS},
    "VERA": {"r": 16},
    "OFT": {"oft_block_size": 8, "target_modules": TARGETS},
    "LILY": {"r": 4, "target_modules": TARGETS},
    "PROMPT_TUNING": {},
    "P_TUNING": {"encoder_hidden_size": 32},
    "PREFIX_TUNING": {"num_virtual_tokens": 4},
    "FULL": {},
    "FROZEN": {},
}

VIRTUAL_TOKENS = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"}

UNMERGED = VIRTUAL_TOKENS | {"LILY"}

OF_PEFT = [name for name in TYPES if name not in ("FULL", "FROZEN")]

STEPS = 30


@pytest.fixture(scope="module", autouse=True)
def fp32():
    """Invariants are exact up to fp32's rounding; bf16, where the hardware has it, is measured by a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "autocast", contextlib.nullcontext)
        yield


@pytest.fixture(scope="module")
def tokens():
    return tokenise(TEXTS, ENCODER)


@pytest.fixture(scope="module")
def frozen(tokens):
    return encode(load_base(ENCODER), tokens, 4)


def peft_options(name):
    return PeftOptions(**{"peft_type": name} | TYPES[name])


def noisy(name):
    """A model whose tuned weights have moved."""
    torch.manual_seed(0)
    model = prepare(load_base(ENCODER), peft_options(name), STEPS)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad and name != "FULL":
                p.add_(0.02 * torch.randn_like(p))
            elif p.requires_grad:
                p.add_(0.1 * p.abs().mean() * torch.randn_like(p))
    return model


@pytest.mark.parametrize("name", sorted(TYPES.keys() - VIRTUAL_TOKENS))
def test_an_untrained_adapter_is_the_identity(name, tokens, frozen):
    model = prepare(load_base(ENCODER), peft_options(name), STEPS).eval()
    np.testing.assert_allclose(encode(model, tokens, 4), frozen, atol=1e-5)


@pytest.mark.parametrize("name", OF_PEFT)
def test_only_the_adapter_gets_gradients_and_the_base_stays(name, tokens):
    model = noisy(name).train()
    base = {key: value.clone() for key, value in load_base(ENCODER).state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    pool(model, tokens.batch(np.arange(5))).square().sum().backward()
    optimizer.step()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    assert all(p.requires_grad for p in model.parameters() if p.grad is not None)
    plain = {key.replace(".base_layer", ""): value for key, value in model.get_base_model().state_dict().items()}
    for key, value in base.items():
        torch.testing.assert_close(plain[key], value, rtol=0, atol=0)
    share = sum(p.numel() for p in model.parameters() if p.requires_grad) / sum(p.numel() for p in model.parameters())
    assert share < 0.05


@pytest.mark.parametrize("name", [name for name in TYPES if name != "FROZEN"])
def test_merged_equals_unmerged_and_survives_the_disk(name, tokens, frozen, tmp_path):
    model = noisy(name).eval()
    unmerged = encode(model, tokens, 4)
    assert np.abs(unmerged - frozen).max() > 1e-3
    weights, config = extract(model)
    dataset = AdapterDataset(filepath=str(tmp_path / "adapter"))
    dataset.save(Adapter(weights, config, {"weight": torch.zeros(2, 3)}, {"seed": 0}))
    torch.manual_seed(1)
    merged = attach(load_base(ENCODER), dataset.load(), ENCODER)
    assert isinstance(merged, PeftModel) == (name in UNMERGED)
    np.testing.assert_allclose(encode(merged, tokens, 4), unmerged, atol=2e-5)
    if name != "FULL":
        by_peft = PeftModel.from_pretrained(load_base(ENCODER), str(tmp_path / "adapter")).eval()
        np.testing.assert_allclose(encode(by_peft, tokens, 4), unmerged, atol=2e-5)


@pytest.mark.parametrize("name", TYPES)
def test_an_adapter_is_mergeable_where_peft_can_merge_it(name):
    assert mergeable(Adapter(*extract(noisy(name)), {}), ENCODER) == (name not in UNMERGED)


def test_a_frozen_encoder_has_no_weights_to_keep(tokens, frozen):
    weights, config = extract(prepare(load_base(ENCODER), peft_options("FROZEN"), STEPS))
    assert weights == {}
    np.testing.assert_allclose(
        encode(attach(load_base(ENCODER), Adapter(weights, config, {}), ENCODER), tokens, 4), frozen
    )


def test_the_default_is_lora_of_rank_8_on_all_linear_layers():
    """Adapters tuned by earlier versions are reproduced bit for bit."""
    expected = LoraConfig(r=8, lora_alpha=16.0, lora_dropout=0.05, target_modules=TARGETS, bias="none", use_dora=False)
    assert peft_config(PeftOptions(), STEPS) == expected
    torch.manual_seed(0)
    by_hand = get_peft_model(load_base(ENCODER), expected)
    torch.manual_seed(0)
    model = prepare(load_base(ENCODER), PeftOptions(), STEPS)
    assert model.state_dict().keys() == by_hand.state_dict().keys()
    for key, value in by_hand.state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value, rtol=0, atol=0)


def test_what_is_filled_in_where_a_key_is_absent():
    schedule = peft_config(peft_options("ADALORA"), 30)
    assert (schedule.total_step, schedule.tinit, schedule.tfinal) == (30, 3, 10)
    assert (schedule.init_r, schedule.target_r, schedule.deltaT) == (12, 8, 1)
    assert peft_config(PeftOptions(peft_type="ADALORA", total_step=50, tinit=1), 30).total_step == 50
    for name in VIRTUAL_TOKENS:
        config = peft_config(peft_options(name), STEPS)
        assert config.task_type == "FEATURE_EXTRACTION"
        assert config.num_virtual_tokens == TYPES[name].get("num_virtual_tokens", 8)
    assert peft_config(PeftOptions(peft_type="IA3", target_modules=["q_proj"]), STEPS).feedforward_modules == set()


def test_a_value_or_a_model_that_peft_refuses_is_named():
    with pytest.raises(ConfigurationError, match=r"lm_finetuning\.peft = .*'tfinal': 40.*increase `total_step`"):
        peft_config(PeftOptions(peft_type="ADALORA", tinit=3, tfinal=40), STEPS)
    with pytest.raises(ConfigurationError, match=r"c_attn.*does not fit this base model.*dense, key, query, value"):
        prepare(load_base(ENCODER), PeftOptions(target_modules=["c_attn"]), STEPS)
    with pytest.raises(ConfigurationError, match=r"'r': -1.*does not fit this base model.*positive integer"):
        prepare(load_base(ENCODER), PeftOptions(r=-1), STEPS)


@pytest.mark.parametrize("name", ["LORA", "LOHA", "FULL"])
def test_an_adapter_of_another_model_is_refused(name):
    weights, config = extract(noisy(name))
    others = {f"base_model.model.other.{key}": value for key, value in weights.items()}
    with pytest.raises(ConfigurationError, match="does not fit base model"):
        attach(load_base(ENCODER), Adapter(others, config, {}), ENCODER)


def test_the_exported_encoder_is_a_base_model_like_any_other(tokens, tmp_path):
    model = noisy("LORA").eval()
    adapter = Adapter(*extract(model), {})
    EncoderDataset(filepath=str(tmp_path / "encoder")).save((adapter, ENCODER))
    exported = ENCODER.model_copy(update={"base_model": str(tmp_path / "encoder")})
    embedded = encode(load_base(exported), tokenise(TEXTS, exported), 4)
    np.testing.assert_allclose(embedded, encode(model, tokens, 4), atol=2e-5)
    assert weights_hash(load_base(exported)) != weights_hash(load_base(ENCODER))


@pytest.mark.parametrize("name", ["PROMPT_TUNING", "LILY"])
def test_what_cannot_be_merged_is_not_exported(name, tmp_path):
    with pytest.raises(ConfigurationError, match=f"An adapter of type {name} cannot be merged"):
        export(Adapter(*extract(noisy(name)), {}), ENCODER, tmp_path / "nowhere")


def by_hand(states, lengths, pooling):
    if pooling == "mean":
        return np.stack([s[:n].mean(axis=0) for s, n in zip(states, lengths, strict=True)])
    return np.stack([s[0 if pooling == "cls" else n - 1] for s, n in zip(states, lengths, strict=True)])


@pytest.fixture
def earlier(tmp_path):
    """An adapter of rank 8 that was written by another run, and the hash of its base."""
    base = load_base(ENCODER)
    hash_of_base = weights_hash(base)
    weights, config = extract(prepare(base, PeftOptions(), 10))
    moved = {name: value + 0.01 for name, value in weights.items()}
    head = {"weight": torch.zeros(2, 3)}
    Adapter(moved, config, head, {"base_hash": hash_of_base}).write(tmp_path / "adapter")
    return tmp_path / "adapter", hash_of_base, moved


def test_tuning_starts_from_the_weights_of_an_earlier_adapter(earlier):
    folder, hash_of_base, moved = earlier
    model = prepare(load_base(ENCODER), PeftOptions(), 10)
    assert len(start_from(model, folder, hash_of_base)) == 16
    torch.testing.assert_close(extract(model)[0], moved, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "base", "says"),
    [
        ({}, "another", "was tuned from another base model"),
        ({"r": 4}, None, r"is of another kind \(peft_type LORA, r 8\)"),
        ({"peft_type": "FULL"}, None, "is of another kind"),
        ({"lora_alpha": 64}, None, "asks for, by its lora_alpha"),
        ({"use_rslora": True}, None, "asks for, by its use_rslora"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(earlier, changes, base, says):
    folder, hash_of_base, _ = earlier
    model = prepare(load_base(ENCODER), PeftOptions(**changes), 10)
    with pytest.raises(ConfigurationError, match=says):
        start_from(model, folder, base or hash_of_base)


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="holds no adapter that can be read"):
        start_from(prepare(load_base(ENCODER), PeftOptions(), 10), tmp_path, "")
