"""The page of the public API: directives that mkdocstrings fills with signatures and docstrings."""

INTRODUCTION = """# Public API

What a program, a notebook or a plug-in of yours calls. Signatures and docstrings come from the code.
"""
#: Titles with what stands below them.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Answer requests": (
        "tailor.load",
        "tailor.serving.recommender.Recommender",
        "tailor.serving.schema.Request",
        "tailor.serving.schema.Settings",
        "tailor.serving.schema.Answer",
    ),
    "Models and sources": (
        "tailor.models.base",
        "tailor.models.registry.register_model",
        "tailor.hybrid.sources.source",
    ),
    "Metrics": ("tailor.metrics.base",),
    "Re-ranking": ("tailor.rerank.base",),
    "Notebooks": (
        "tailor.notebook",
        "tailor.evaluation.side_by_side.side_by_side",
        "tailor.evaluation.pareto.pareto_front",
    ),
    "Experiments": ("tailor.evaluation.experiment", "tailor.evaluation.off_policy"),
    "Suites for parts of your own": (
        "tailor.testing.models",
        "tailor.testing.sources",
        "tailor.testing.metrics",
        "tailor.testing.rerankers",
    ),
}


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, names in SECTIONS.items():
        parts += [f"## {title}\n", *(f"::: {name}\n" for name in names)]
    return "\n".join(parts)
