"""The page of models: sources of the hybrid, baselines, options of each, re-rankers and PEFT options."""

from docs.generator.markdown import code, first_sentence, table
from docs.generator.options import HEAD, rows
from tailor.config import Options
from tailor.hybrid.sources import SOURCES
from tailor.models.registry import BASELINES, model_class
from tailor.rerank import registered_rerankers

INTRODUCTION = """# Models, sources and re-rankers

What is registered in this version. [CONTRIBUTING](../../CONTRIBUTING.md) shows how one of your own is added in one
file; a source of your own has [a tutorial](../tutorials/own-source.md). Formulas are in
[mathematics](../explanation/mathematics.md).
"""
NO_OPTIONS = "It has no options.\n"


def _options(config: type[Options], prefix: str) -> str:
    """Return the table of a model's options; a sentence where it has none."""
    return (
        f"{table(HEAD[:-1], (row[:-1] for row in rows(config, prefix, {})))}\n" if config.model_fields else NO_OPTIONS
    )


def sources() -> str:
    """Return the table of the hybrid's sources."""
    cells = (
        (code(one.name), one.label, ", ".join(sorted(one.reads)), code(one.reason), first_sentence(one.model.__doc__))
        for one in SOURCES.values()
    )
    return table(("source", "in reports", "reads", "reason in answers", "what it is"), cells)


def page() -> str:
    """Return the page."""
    names = list(dict.fromkeys([*SOURCES, *BASELINES]))
    classes = {name: SOURCES[name].model if name in SOURCES else model_class(name) for name in names}
    baselines = table(
        ("baseline", "what it is"), ((code(name), first_sentence(model_class(name).__doc__)) for name in BASELINES)
    )
    methods = table(("method", "what it does"), ((code(name), said) for name, said in registered_rerankers().items()))
    parts = [
        INTRODUCTION,
        f"## Sources of the hybrid\n\n`hybrid_cf.sources`, in the order in which they are blended.\n\n{sources()}\n",
        f"## Baselines\n\n`hybrid_cf.baselines`, from the simplest on.\n\n{baselines}\n",
        f"## Re-rankers\n\n`rerank` of a request, `evaluation.frontier.methods`.\n\n{methods}\n",
        "## Options by model\n",
    ]
    parts += [f"### {name}\n\n{_options(classes[name].config_class, '')}" for name in sorted(names)]
    return "\n".join(parts)
