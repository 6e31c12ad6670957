"""Keys of PEFT are checked against the type that they are given for."""

import pytest
from kedro.config import OmegaConfigLoader

from tailor.config import parse
from tailor.environment import LOADER_ARGS
from tailor.errors import ConfigurationError
from tailor.lm.config import EncoderOptions, LMOptions
from tailor.options import ProjectOptions
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"lora_alpah": 8},
            r"peft\.lora_alpah' = 8: LORA does not take this key\. Did you mean 'lora_alpha'\? It takes",
        ),
        ({"peft_type": "VERA", "lora_alpha": 8}, r"peft\.lora_alpha' = 8: VERA does not take this key"),
        ({"peft_type": "LORAS"}, r"peft\.peft_type' = 'LORAS': there is no such type\. Did you mean 'LORA'\?"),
        ({"peft_type": "lora"}, r"there is no such type\. Did you mean 'LORA'\?"),
        ({"peft_type": "FROZEN", "r": 4}, r"peft\.r' = 4: FROZEN takes no keys"),
        ({"inference_mode": True}, r"peft\.inference_mode' = True: LORA does not take this key"),
        (
            {"method": "dora"},
            r"peft\.method' = 'dora': the key is now 'peft_type'; write peft_type: LORA, use_dora: true",
        ),
        ({"alpha": 8.0}, r"peft\.alpha' = 8\.0: the key is now 'lora_alpha'"),
        ({"dropout": 0.1}, r"peft\.dropout' = 0\.1: the key is now 'lora_dropout'"),
        (
            {"peft_type": "PROMPT_TUNING", "n_virtual_tokens": 4},
            r"peft\.n_virtual_tokens' = 4: the key is now 'num_virtual_tokens'",
        ),
    ],
)
def test_keys_are_checked_against_the_type(given, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(LMOptions, {"peft": given}, "lm_finetuning")


def test_a_key_that_one_type_has_renamed_may_be_another_types_own():
    assert parse(LMOptions, {"peft": {"peft_type": "LOHA", "alpha": 4}}, "lm_finetuning").peft.settings == {"alpha": 4}


def test_the_environment_with_a_decoder_pins_its_file():
    """conf/decoder changes the base model, what reads words, and nothing else."""
    loader = OmegaConfigLoader(conf_source=str(ROOT / "conf"), env="decoder", **LOADER_ARGS)
    options = parse(ProjectOptions, loader["parameters"], "")
    encoder = options.lm_finetuning.encoder
    assert (encoder.pooling, encoder.base_model.rsplit("/", 1)[1]) == ("last", encoder.wheel.member.rsplit("/", 1)[1])
    assert encoder.base_model.startswith(loader["globals"]["raw"])
    assert options.words.encoder == EncoderOptions().base_model
    hybrid, of_base = options.hybrid_cf, parse(ProjectOptions, parameters_of_base(), "").hybrid_cf
    assert hybrid.model_copy(update={"checkpoints": of_base.checkpoints}) == of_base


def parameters_of_base():
    return OmegaConfigLoader(conf_source=str(ROOT / "conf"), env="base", **LOADER_ARGS)["parameters"]
