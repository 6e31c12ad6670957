"""Speed of the language model against its peers, in the same process on the same texts."""

import tempfile
from statistics import median
from typing import Any

import numpy as np
import torch
from catalogues import prepare, seconds_of
from cold_start import lm_options
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer, Trainer, TrainingArguments

from tailor import columns as c
from tailor.lm.base_model import model_path
from tailor.lm.encoder import encode, load_base, pool, tokenise
from tailor.lm.peft import prepare as prepare_encoder
from tailor.lm.trainer import Tuning

REPEATS, STEPS = 3, 24


def encoding() -> dict[str, Any]:
    """Encode MovieLens-100K's texts: ours (bf16 where the hardware has it) against sentence-transformers' fp32."""
    catalogue = prepare("base", 0)
    options, texts = lm_options(catalogue, {}).encoder, catalogue.data["item_text"][c.TEXT].tolist()
    base, peer = load_base(options), SentenceTransformer(model_path(options.base_model))
    peer.max_seq_length = options.max_length

    def ours() -> np.ndarray:
        return encode(base, tokenise(texts, options), options.batch_size)

    def theirs() -> np.ndarray:
        return np.asarray(peer.encode(texts, batch_size=options.batch_size, show_progress_bar=False))

    ours(), theirs()
    pairs = [(seconds_of(ours), seconds_of(theirs)) for _ in range(REPEATS)]
    mine, other = median(p[0][0] for p in pairs), median(p[1][0] for p in pairs)
    e, t = pairs[0][0][1], pairs[0][1][1]
    cosine = (e * t).sum(axis=1) / np.linalg.norm(e, axis=1) / np.linalg.norm(t, axis=1)
    return {
        "texts": len(texts),
        "texts_per_second": len(texts) / mine,
        "peer_texts_per_second": len(texts) / other,
        "ratio": other / mine,
        "mean_cosine": float(cosine.mean()),
        "bf16": bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()),
    }


class _PlainTrainer(Trainer):
    """transformers.Trainer with the same LoRA model and loss."""

    tuning: Tuning

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:  # noqa: ARG002
        rows = inputs.pop("row").numpy()
        embedded = torch.nn.functional.normalize(pool(model, inputs) - self.tuning.model.centre, dim=1)
        quadratic = self.tuning.quadratic
        return quadratic.of_factors(quadratic.factors(embedded), rows)  # type: ignore[union-attr]


def training() -> dict[str, Any]:
    """Tune LoRA on MovieLens-100K: items per second of ours against a plain fp32 ``transformers.Trainer`` loop.

    Same model, adapter, loss and batch size. The Trainer pads to ``max_length`` (the plain recipe) or to the longest
    text of a batch (DataCollatorWithPadding); both are reported.
    """
    catalogue = prepare("base", 0)
    options = lm_options(catalogue, {"epochs": 2, "augmentation": {}})
    tuning = Tuning(catalogue.training_data(), options, 0)
    n = len(tuning.rows)
    mine, _ = seconds_of(tuning.run_epoch)
    ours = n / mine
    texts = catalogue.data["item_text"][c.TEXT].tolist()
    tokenizer = AutoTokenizer.from_pretrained(model_path(options.encoder.base_model))

    def peer(padding: str) -> float:
        def collate(rows: list[int]) -> dict[str, Any]:
            chosen = [texts[row] for row in rows]
            length = options.encoder.max_length
            batch = tokenizer(chosen, padding=padding, truncation=True, max_length=length, return_tensors="pt")
            return {**batch, "row": torch.tensor(rows)}

        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=options.batch_size,
                max_steps=STEPS,
                learning_rate=options.learning_rate,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                remove_unused_columns=False,
                use_cpu=not torch.cuda.is_available(),
            )
            model = prepare_encoder(load_base(options.encoder), options.peft, STEPS)
            rows = [int(row) for row in tuning.rows]
            trainer = _PlainTrainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)  # type: ignore[arg-type]
            trainer.tuning = tuning
            seconds, _ = seconds_of(trainer.train)
        return STEPS * options.batch_size / seconds

    padded, longest = peer("max_length"), peer("longest")
    return {
        "items_per_second": ours,
        "trainer_max_length_items_per_second": padded,
        "trainer_longest_items_per_second": longest,
        "over_max_length": ours / padded,
        "over_longest": ours / longest,
        "batch_size": options.batch_size,
    }


def compilation() -> dict[str, Any]:
    """Tune LoRA for two epochs under ``torch.compile``: what compiling costs, and what the second epoch gains."""
    catalogue = prepare("base", 0)
    tuning = Tuning(catalogue.training_data(), lm_options(catalogue, {"epochs": 2}), 0)
    tuning.model.encoder = torch.compile(tuning.model.encoder, dynamic=True)  # type: ignore[assignment]
    first, _ = seconds_of(tuning.run_epoch)
    second, _ = seconds_of(tuning.run_epoch)
    return {"first_epoch_seconds": first, "items_per_second": len(tuning.rows) / second}


if __name__ == "__main__":
    print({"encoding": encoding(), "training": training(), "torch_compile": compilation()})
