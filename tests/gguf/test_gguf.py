"""A decoder in a GGUF file: the weights that were written, and an encoder that is packaged without GGUF.

Run by `make test-gguf`.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from transformers import LlamaModel

from tailor.lm import encoder as encoder_module
from tailor.lm.base_model import UnreadableModelError, read_model, read_tokenizer
from tailor.lm.config import EncoderOptions
from tailor.lm.peft import export
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening
from tests.unit.lm.decoders import END, TEXTS, save_decoder, tokenizer_of_bytes
from tests.unit.lm.test_low_rank import tuned as tuned_adapter

gguf = pytest.importorskip("gguf", reason="make test-gguf installs it")
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def permuted(weight, heads):
    """Rows as llama.cpp stores those of queries and keys: the halves of a head's rotation interleaved."""
    n, m = weight.shape
    return weight.reshape(heads, 2, n // heads // 2, m).swapaxes(1, 2).reshape(n, m)


def in_gguf(name, value, config):
    if not name.startswith("layers."):
        return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name], value
    _, layer, rest = name.split(".", 2)
    part = rest.removesuffix(".weight")
    heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
    return f"blk.{layer}.{NAMES[part]}.weight", permuted(value, heads[part]) if part in heads else value


def write_gguf(folder, path, quantised=None):
    """Write a saved decoder as llama.cpp would: whole in fp32, or its matrices quantised."""
    model, tokenizer = LlamaModel.from_pretrained(folder), tokenizer_of_bytes()
    config, writer = model.config, gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    tokens = [token for token, _ in vocabulary] + [f"<unused{i}>" for i in range(len(vocabulary), config.vocab_size)]
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token == END else 1 for token in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    for name, value in model.state_dict().items():
        named, array = in_gguf(name, value.numpy(), config)
        if quantised is not None and array.ndim == 2:
            writer.add_tensor(named, gguf.quantize(array, quantised), raw_dtype=quantised)
        else:
            writer.add_tensor(named, np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module", autouse=True)
def fp32():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_module, "autocast", contextlib.nullcontext)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    path = write_gguf(folder, tmp_path_factory.mktemp("whole") / "m.gguf")
    return EncoderOptions(base_model=str(path), pooling="last", max_length=32)


def test_the_weights_are_those_that_were_written(folder, whole):
    written, read = LlamaModel.from_pretrained(folder).state_dict(), read_model(whole).state_dict()
    assert read.keys() == written.keys()
    for name, value in written.items():
        np.testing.assert_array_equal(read[name], value, err_msg=name)


def test_texts_are_read_as_from_the_folder(folder, whole):
    plain = whole.model_copy(update={"base_model": str(folder)})
    assert read_tokenizer(whole)(TEXTS)["input_ids"] == read_tokenizer(plain)(TEXTS)["input_ids"]
    nothing = Whitening(np.zeros(32, np.float32))
    rows = [TextEncoder.merge(None, nothing, options).encode(TEXTS) for options in (whole, plain)]
    np.testing.assert_allclose(*rows, atol=1e-5)


def test_quantised_weights_are_dequantised(folder, whole, tmp_path):
    path = write_gguf(folder, tmp_path / "q8.gguf", gguf.GGMLQuantizationType.Q8_0)
    written = LlamaModel.from_pretrained(folder).state_dict()
    read = read_model(whole.model_copy(update={"base_model": str(path)}))
    assert not read.is_quantized
    for name, value in read.state_dict().items():
        # Of each block of 32 numbers the largest is 127 steps; a number is off by half a step, and steps are fp16.
        off, largest = (value - written[name]).abs().max(), written[name].abs().max()
        assert off <= 0.6 * largest / 127
        assert off > 0 or value.ndim == 1


def test_a_tuned_one_is_packaged_and_exported_without_gguf(whole, tmp_path):
    adapter = tuned_adapter(whole, "plain")
    tuned = TextEncoder.merge(adapter, Whitening(np.zeros(32, np.float32)), whole)
    tuned.save(tmp_path / "encoder", "fp32")
    assert "quantization_config" not in (tmp_path / "encoder/config.json").read_text()
    loaded = TextEncoder.load(tmp_path / "encoder")
    np.testing.assert_allclose(loaded.encode(TEXTS), tuned.encode(TEXTS), atol=1e-5)
    export(adapter, whole, tmp_path / "export")
    exported = whole.model_copy(update={"base_model": str(tmp_path / "export")})
    again = TextEncoder.merge(None, tuned.whitening, exported)
    np.testing.assert_allclose(again.encode(TEXTS), tuned.encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"no model at all, but some text that is longer than a header"])
def test_another_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(UnreadableModelError, match="transformers cannot read it") as error:
        read_model(EncoderOptions(base_model=str(path), pooling="last"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_is_one_sentence(whole, tmp_path, share):
    content = Path(whole.base_model).read_bytes()
    path = tmp_path / "m.gguf"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableModelError, match="transformers cannot read it"):
        read_model(EncoderOptions(base_model=str(path), pooling="last"))
