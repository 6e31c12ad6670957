"""A tuned encoder as one folder that serving loads: weights, tokenizer, whitening; no pickle.

The weights are those of the base model, once, with the adapter beside them (``adapter/``), which is merged in memory
when they are loaded; those of domains (``domains/``) are merged when the first text of a domain comes. Of a type of
adapter that is no plain LoRA, the weights are the merged ones, as all were up to format 2.
"""

import copy
import json
import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from tailor.errors import BadInputError
from tailor.linear_algebra import unit_rows
from tailor.lm.base_model import frame, read_tokenizer
from tailor.lm.config import EncoderOptions, EncoderWeights
from tailor.lm.encoder import Tokens, device, encode, load_base
from tailor.lm.low_rank import LowRank
from tailor.lm.whitening import Whitening
from tailor.types import AnyArray, JsonObject

if TYPE_CHECKING:
    from tailor.lm.peft import Adapter

log = logging.getLogger(__name__)
_ABOUT, _WHITENING, _INT8 = "tailor.json", "whitening.safetensors", "int8.safetensors"
_SCALE = "/scale"
#: Folder of the adapter; not its files beside the model's, or transformers would ask PEFT to load them.
_ADAPTER = "adapter"
#: Folder of the adapters of domains, numbered, and the key of their names.
_DOMAINS = "domains"


@dataclass
class TextEncoder:
    """From texts to embeddings, as those of the catalogue's items.

    Example:
        >>> TextEncoder.load(Path("model/encoder")).encode(["a slow space opera"]).shape
        (1, 384)
    """

    model: torch.nn.Module
    """With the adapter merged."""
    tokenizer: Any
    whitening: Whitening
    options: EncoderOptions
    adapter: LowRank | None = None
    """What was merged; None where nothing was, or not as a sum."""
    domains: dict[str, LowRank] = field(default_factory=dict)
    """Of several domains, what is added to the model for the items of each that has an adapter, by name."""

    @classmethod
    def merge(cls, adapter: "Adapter | None", whitening: Whitening, options: EncoderOptions) -> Self:
        """Merge an adapter into its base model; None: the base model as it is."""
        from tailor.lm.peft import attach  # noqa: PLC0415  (what is served needs no PEFT)

        model = load_base(options)
        tokenizer = read_tokenizer(options)
        if adapter is None:
            return cls(model, tokenizer, whitening, options)
        base = {name: value.clone() for name, value in model.state_dict().items()}
        model = attach(model, adapter, options)
        added = LowRank.of(adapter.weights, adapter.config, base, model.state_dict())
        domains = {name: LowRank(part.weights, part.config) for name, part in adapter.domains.items()}
        return cls(model, tokenizer, whitening, options, added, domains)

    def of_domain(self, name: str) -> "TextEncoder":
        """Return the encoder of the items of a domain: itself where the domain has no adapter. Each is made once."""
        if name not in self.domains:
            return self
        if name not in self._of_domains:
            model = self._copied({changed for changed, _ in self.domains[name].deltas()})
            self.domains[name].merge(model)
            self._of_domains[name] = TextEncoder(model, self.tokenizer, self.whitening, self.options)
        return self._of_domains[name]

    @cached_property
    def _of_domains(self) -> "dict[str, TextEncoder]":
        return {}

    def _copied(self, changed: set[str]) -> torch.nn.Module:
        """Return a copy of the model with weights of its own where they will change; the others are in memory once."""
        weights = [value for name, value in self.model.named_parameters() if name not in changed]
        shared: list[torch.Tensor] = [*weights, *self.model.buffers()]
        return copy.deepcopy(self.model, {id(value): value for value in shared})

    def base(self) -> "TextEncoder":
        """Return the base model as it was before the adapter, its rows not centred; it is made once.

        What an adapter learns from a catalogue's behaviour makes free text read worse. Weights that the adapter does
        not change, such as the table of tokens, are in memory once.
        """
        return self._base

    @cached_property
    def _base(self) -> "TextEncoder":
        model = self.model
        if self.adapter is not None:
            model = self._copied({name for name, _ in self.adapter.deltas()})
            self.adapter.take_out(model)
        centre = np.zeros_like(self.whitening.centre)
        return TextEncoder(model, self.tokenizer, Whitening(centre), self.options)

    @cached_property
    def _special(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.tokenizer.all_special_ids)))

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m) of texts (n,)."""
        ids = self.tokenizer(texts, truncation=True, max_length=self.options.max_length)["input_ids"]
        return self._encode(ids, self.options.batch_size)

    def encode_tokens(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m) of single tokens (n,), each as a text of its own."""
        before, behind = self._frame
        return self._encode([[*before, token, *behind] for token in ids.tolist()], 16 * self.options.batch_size)

    def encode_long(self, texts: list[str], max_pieces: int) -> NDArray[np.float32]:
        """Return L2-normalised rows (n, m) of texts of any length (n,): means of the rows of their pieces.

        Args:
            texts: what is longer than ``max_length`` tokens is cut into pieces.
            max_pieces: pieces of a text that are read; how many texts are longer is logged.
        """
        if not texts:
            return np.zeros((0, len(self.encode([""])[0])), np.float32)
        before, behind = self._frame
        size = self.options.max_length - len(before) - len(behind)
        pieces, owner, n_cut = list[list[int]](), list[int](), 0
        for text, ids in enumerate(self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]):
            starts = range(0, max(len(ids), 1), size)
            n_cut += len(starts) > max_pieces
            pieces += [[*before, *ids[start : start + size], *behind] for start in starts[:max_pieces]]
            owner += [text] * len(starts[:max_pieces])
        if n_cut:
            log.warning("%d of %d texts are longer than %d pieces of %d tokens", n_cut, len(texts), max_pieces, size)
        rows = self._encode(pieces, self.options.batch_size)
        means = np.zeros((len(texts), rows.shape[1]), np.float32)
        np.add.at(means, np.array(owner), rows)
        return unit_rows(means)

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """Return the special tokens before and behind a text."""
        return frame(self.tokenizer)

    def _encode(self, ids: list[list[int]], size: int) -> NDArray[np.float32]:
        tokens = Tokens(ids, self.tokenizer.pad_token_id or 0, 0, None, self._special)
        return self.whitening.apply(encode(self.model, tokens, size, "encode texts", self.options.pooling))

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write the base model's weights, the adapter, tokenizer, whitening and options.

        ``fp32`` keeps every digit; ``bf16`` halves the weights (cosines with fp32 above .999); ``int8`` quarters them:
        each row of a matrix is whole numbers times one scale. The adapter is written in fp32. All are computed with as
        they were read: in fp32, or bf16 where that pays.
        """
        folder.mkdir(parents=True)
        state = self.model.state_dict() if self.adapter is None else self.adapter.base_state(self.model)
        if weights == "int8":
            self.model.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
            save_file(_quantised(state), folder / _INT8)
        else:
            dtype = torch.bfloat16 if weights == "bf16" else torch.float32
            rounded = {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}
            self.model.save_pretrained(folder, state_dict=rounded)  # type: ignore[operator]
        if self.adapter is not None:
            self.adapter.save(folder / _ADAPTER)
        for number, adapter in enumerate(self.domains.values()):
            adapter.save(folder / _DOMAINS / str(number))
        self.tokenizer.save_pretrained(folder)
        arrays = {"centre": self.whitening.centre, "projection": self.whitening.projection}
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items() if v is not None}, folder / _WHITENING)
        about: JsonObject = self.options.model_dump(include={"pooling", "max_length", "batch_size"})
        if self.domains:
            about[_DOMAINS] = list(self.domains)
        (folder / _ABOUT).write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        transformers_logging.disable_progress_bar()
        # The pooling layer was left out on purpose; its absence is reported below the level of errors.
        before = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        if (folder / _INT8).is_file():
            model = AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True)).float()
            missing = model.load_state_dict(_restored(load_file(folder / _INT8)), strict=False).missing_keys
            if any(not name.startswith("pooler.") for name in missing):
                raise BadInputError(f"{_INT8} lacks {', '.join(missing)}. Register the model anew.")
        else:
            model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, local_files_only=True)
        transformers_logging.set_verbosity(before)
        if isinstance(getattr(model, "pooler", None), torch.nn.Module):
            model.pooler = None
        adapter = LowRank.load(folder / _ADAPTER) if (folder / _ADAPTER).is_dir() else None
        if adapter is not None:
            adapter.merge(model)
        with safe_open(folder / _WHITENING, framework="np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
        about = json.loads((folder / _ABOUT).read_text())
        names = enumerate(about.pop(_DOMAINS, []))
        domains = {name: LowRank.load(folder / _DOMAINS / str(number)) for number, name in names}
        options = EncoderOptions(**about)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        whitening = Whitening(arrays["centre"], arrays.get("projection"))
        return cls(model.to(device()).eval(), tokenizer, whitening, options, adapter, domains)


def _quantised(state: dict[str, torch.Tensor]) -> dict[str, AnyArray]:
    """Return matrices as int8 rows with a scale each, everything else as it is."""
    arrays: dict[str, AnyArray] = {}
    for name, value in state.items():
        array = value.cpu().numpy()
        if array.ndim != 2 or array.dtype.kind != "f":
            arrays[name] = np.ascontiguousarray(array)
            continue
        scale = np.abs(array).max(axis=1, keepdims=True) / 127
        arrays[name + _SCALE] = scale
        arrays[name] = np.round(array / np.where(scale > 0, scale, 1)).astype(np.int8)
    return arrays


def _restored(arrays: dict[str, AnyArray]) -> dict[str, torch.Tensor]:
    """Undo :func:`_quantised`."""
    state = {}
    for name, value in arrays.items():
        if not name.endswith(_SCALE):
            scale = arrays.get(name + _SCALE)
            state[name] = torch.from_numpy(value if scale is None else value.astype(np.float32) * scale)
    return state
