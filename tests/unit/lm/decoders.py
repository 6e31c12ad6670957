"""A decoder of Llama's architecture that nobody has trained, with a tokenizer of bytes, as a folder on disk."""

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as BytesToText
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

END = "<|endoftext|>"
TEXTS = [
    "a slow space opera",
    "romance in paris",
    "a",
    "ghost ghost ghost in the haunted house on the hill",
    "",
    "cowboys",
]


def tokenizer_of_bytes(end=END):
    """Byte pairs, as in GPT-2; it appends nothing, and no token stands for padding."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), BytesToText()
    special = [end] if end else []
    trainer = BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end)


def save_decoder(folder, end=END):
    """Write the model and its tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        initializer_range=0.2,
    )
    LlamaModel(config).save_pretrained(folder)
    tokenizer_of_bytes(end).save_pretrained(folder)
    return folder
