"""LoRA without PEFT: the base model and what is added to it make the merged weights, and come apart again."""

import pytest
import torch

from tailor.errors import BadInputError
from tailor.lm.config import PeftOptions
from tailor.lm.encoder import load_base
from tailor.lm.low_rank import LowRank
from tailor.lm.peft import Adapter, attach, extract, prepare

TYPES = {
    "plain": {"lora_alpha": 32},
    "rslora": {"use_rslora": True, "r": 4},
    "dora": {"use_dora": True},
    "ranks": {"rank_pattern": {"query": 2}},
    "ia3": {"peft_type": "IA3"},
    "full": {"peft_type": "FULL"},
}


def tuned(encoder, name):
    """An adapter whose weights are not those it starts from."""
    model = prepare(load_base(encoder), PeftOptions(**TYPES[name]), 4)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02 * torch.randn_like(parameter))
    weights, config = extract(model)
    return Adapter(weights, config, {})


def merged(encoder, adapter):
    """The state dicts of the base and of the merged encoder, and what was recognised as added."""
    base = load_base(encoder).state_dict()
    model = attach(load_base(encoder), adapter, encoder)
    return base, model, LowRank.of(adapter.weights, adapter.config, base, model.state_dict())


@pytest.mark.parametrize("name", ["plain", "rslora"])
def test_base_and_adapter_make_the_merged_weights(encoder, name):
    base, model, added = merged(encoder, tuned(encoder, name))
    assert added is not None
    rebuilt = load_base(encoder)
    added.merge(rebuilt)
    changed = 0
    for key, value in model.state_dict().items():
        torch.testing.assert_close(rebuilt.state_dict()[key], value, rtol=0, atol=1e-6)
        torch.testing.assert_close(added.base_state(model)[key], base[key], rtol=0, atol=1e-6)
        changed += bool((value - base[key]).abs().max() > 1e-3)
    assert changed == 6 == len(dict(added.deltas()))  # query, key, value and three dense layers


@pytest.mark.parametrize("name", ["dora", "ranks", "ia3", "full"])
def test_what_is_no_plain_lora_is_not_taken_for_one(encoder, name):
    assert merged(encoder, tuned(encoder, name))[2] is None


def test_weights_that_are_not_the_sum_are_not_taken_for_it(encoder):
    adapter = tuned(encoder, "plain")
    base, model, _ = merged(encoder, adapter)
    state = model.state_dict()
    key = "embeddings.LayerNorm.weight"
    assert LowRank.of(adapter.weights, adapter.config, base, state | {key: state[key] + 1e-3}) is None
    assert LowRank.of(adapter.weights, adapter.config | {"lora_alpha": 8}, base, state) is None
    assert LowRank.of(adapter.weights, adapter.config, {}, state) is None


def test_it_is_saved_as_an_adapter_of_peft(encoder, tmp_path):
    from peft import PeftModel

    _, model, added = merged(encoder, tuned(encoder, "plain"))
    added.save(tmp_path / "adapter")
    loaded = LowRank.load(tmp_path / "adapter")
    assert loaded.config == added.config
    assert all(torch.equal(loaded.weights[name], value) for name, value in added.weights.items())
    by_peft = PeftModel.from_pretrained(load_base(encoder), tmp_path / "adapter").merge_and_unload()
    for key, value in by_peft.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], rtol=0, atol=1e-6)


def test_an_adapter_of_another_model_is_refused():
    layer = "base_model.model.{}.lora_{}.weight"
    weights = {layer.format("0", "A"): torch.ones(1, 2), layer.format("0", "B"): torch.ones(3, 1)}
    added = LowRank(weights, {"r": 1, "lora_alpha": 1})
    added.merge(torch.nn.Sequential(torch.nn.Linear(2, 3)))
    for other in (torch.nn.Sequential(torch.nn.Linear(2, 4)), torch.nn.Linear(2, 3)):
        with pytest.raises(BadInputError, match=r"does not fit weight 0\.weight\. Register the model anew"):
            added.merge(other)


def test_what_was_merged_is_taken_out_in_place(encoder):
    base, _, added = merged(encoder, tuned(encoder, "plain"))
    model = load_base(encoder)
    added.merge(model)
    added.take_out(model)
    assert max(float((value - base[name]).abs().max()) for name, value in model.state_dict().items()) <= 1e-6
