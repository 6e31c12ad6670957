"""What the processor can multiply, as far as the time of the language model hangs on it."""

from pathlib import Path

#: Where Linux lists what each core can do.
_CPU_INFO = Path("/proc/cpuinfo")
#: Units that multiply bf16; the wide ones that multiply fp32.
_BF16, _WIDE = {"avx512_bf16", "amx_bf16"}, "avx512f"


def processor_flags(cpu_info: Path = _CPU_INFO) -> frozenset[str]:
    """Return the flags of the first core; none where the system lists none."""
    if not cpu_info.is_file():
        return frozenset()
    lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), []))


def language_model_factor(flags: frozenset[str]) -> float:
    """Return how many times as long the language model takes as on a processor with bf16 units.

    Measured: texts of anime, frozen, took 31 s on two cores with AVX2 alone, where 9 s were expected with bf16 units
    (27 November 2026); with AVX-512 alone tuning took about twice as long.

    Args:
        flags: of :func:`processor_flags`.

    Example:
        >>> language_model_factor(frozenset({"avx512f", "amx_bf16"})), language_model_factor(frozenset({"avx2"}))
        (1.0, 3.5)
    """
    if flags & _BF16:
        return 1.0
    return 2.0 if _WIDE in flags else 3.5
