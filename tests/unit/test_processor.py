"""The processor's flags, and what they mean for the language model."""

import pytest

from tailor.processor import language_model_factor, processor_flags


def test_flags_of_the_first_core(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor_flags(file) == {"fpu", "avx2", "avx512f"}
    assert processor_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(
    ("flags", "factor"),
    [({"avx512f", "avx512_bf16"}, 1.0), ({"avx512f", "amx_bf16"}, 1.0), ({"avx512f"}, 2.0), ({"avx2"}, 3.5), ({}, 3.5)],
)
def test_a_processor_without_bf16_units_takes_longer(flags, factor):
    assert language_model_factor(frozenset(flags)) == factor
