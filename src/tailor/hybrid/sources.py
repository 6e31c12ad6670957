"""The hybrid's sources of evidence as data: one entry each says what a source is called, reads and is made by.

A source of your own is a model with this decorator in a module that ``plugins`` names; nothing else needs to know it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tailor.config import parse
from tailor.errors import ConfigurationError, did_you_mean
from tailor.hybrid.recent import RecentEASE, RecentText
from tailor.hybrid.text_factors import TextFactors
from tailor.models import legacy
from tailor.models.base import Model
from tailor.models.contextual import Contextual
from tailor.models.demographic import Demographic
from tailor.models.ease import TextEASE
from tailor.models.ials import TextIALS
from tailor.models.popular import Popular
from tailor.models.registry import register_model
from tailor.models.slit import SLIT
from tailor.models.text_knn import TextKNN
from tailor.models.transformer import SASRec, Transformer
from tailor.models.transition_knn import TransitionKNN
from tailor.models.user_text import UserText
from tailor.types import JsonObject

Reads = Literal["history", "order", "confidence", "texts", "profile", "context", "user_text", "popularity"]
ModelClass = TypeVar("ModelClass", bound=type[Model[Any]])


@dataclass(frozen=True)
class Source:
    """One source of evidence."""

    name: str
    """In parameters, saved weights and explanations."""
    model: type[Model[Any]]
    """What is fitted; its scores are standardised per user before they are blended."""
    reason: str
    """What an answer calls it when it carried a score most."""
    label: str
    """What reports call it."""
    reads: frozenset[Reads]
    text_dependent: bool
    """Whether another text of an item changes the item's score."""
    derived_from: str | None
    """The source whose fitted model it is computed from; None: it is fitted on the train set."""

    @property
    def reads_history(self) -> bool:
        """Whether its scores follow the history."""
        return not self.reads.isdisjoint(("history", "order", "confidence"))


#: Every source by name, in the order in which they are blended.
SOURCES: dict[str, Source] = {}


def source(
    *,
    name: str,
    reason: str,
    label: str,
    reads: set[Reads],
    text_dependent: bool = False,
    derived_from: str | None = None,
) -> Callable[[ModelClass], ModelClass]:
    """Make a model a source of the hybrid (class decorator).

    Args:
        name: in parameters, saved weights and explanations.
        reason: what an answer calls it when it carried a score most.
        label: what reports call it.
        reads: which evidence scores follow: of the query, ``texts`` of the fit, or ``popularity``, the train set alone,
            the same for everybody. ``tailor.testing.sources`` holds a source to it.
        text_dependent: whether another text of an item changes its score.
        derived_from: the source whose fitted model it is computed from.

    Raises:
        ConfigurationError: another source has that name, or it reads nothing.

    Example:
        >>> @source(name="newest", reason="new", label="newest titles", reads={"popularity"})
        ... class Newest(Model[NewestConfig]): ...
    """

    if not reads:
        raise ConfigurationError(f"The source {name} reads nothing: say what its scores depend on")

    def register(model: ModelClass) -> ModelClass:
        known = SOURCES.get(name)
        if known is not None and known.model.__qualname__ != model.__qualname__:
            raise ConfigurationError(
                f"Two sources are called '{name}': {known.model.__qualname__} and {model.__qualname__}."
            )
        if "name" not in vars(model):  # none of its own; a parent's would load the parent
            register_model(name)(model)
        SOURCES[name] = Source(name, model, reason, label, frozenset(reads), text_dependent, derived_from)
        return model

    return register


def order_readers() -> list[str]:
    """Return the sources that read the order of histories, or are derived from one that does: silent without times."""
    readers = {name for name, entry in SOURCES.items() if "order" in entry.reads}
    return [name for name, entry in SOURCES.items() if {name, entry.derived_from} & readers]


def check_sources(sources: Mapping[str, Mapping[str, object]]) -> dict[str, JsonObject]:
    """Return sources with all their options, defaults filled in: what is saved does not hang on later defaults.

    Raises:
        ConfigurationError: names it, and what there is; a name of 0.1 with the new one.
    """
    complete: dict[str, JsonObject] = {}
    for name, options in sources.items():
        if name not in SOURCES:
            new = legacy.SOURCES.get(name)
            hint = f" It is called '{new}' now." if new else did_you_mean(name, SOURCES)
            raise ConfigurationError(
                f"hybrid_cf.sources: no source '{name}'.{hint} Known: {', '.join(SOURCES)}. A source of your own is "
                "known once its module is listed under 'plugins'."
            )
        config = parse(SOURCES[name].model.config_class, dict(options), f"hybrid_cf.sources.{name}")
        complete[name] = config.model_dump(mode="json")
    return complete


source(
    name="ials", reason="taken_together", label="factors", reads={"history", "confidence", "texts"}, text_dependent=True
)(TextIALS)
source(
    name="text_factors",
    reason="similar_text",
    label="factors of similar texts",
    reads={"history", "confidence", "texts"},
    text_dependent=True,
    derived_from="ials",
)(TextFactors)
source(
    name="ease",
    reason="taken_together",
    label="co-consumption",
    reads={"history", "confidence", "texts"},
    text_dependent=True,
)(TextEASE)
source(name="slit", reason="taken_next", label="order", reads={"history", "order", "confidence"}, text_dependent=True)(
    SLIT
)
source(
    name="text_knn", reason="similar_text", label="text", reads={"history", "confidence", "texts"}, text_dependent=True
)(TextKNN)
source(
    name="recent_ease",
    reason="taken_together",
    label="recent co-consumption",
    reads={"history", "order", "confidence", "texts"},
    text_dependent=True,
    derived_from="ease",
)(RecentEASE)
source(
    name="recent_text",
    reason="similar_text",
    label="recent texts",
    reads={"history", "order", "confidence", "texts"},
    text_dependent=True,
    derived_from="text_knn",
)(RecentText)
source(
    name="transformer",
    reason="taken_next",
    label="order, by a transformer",
    reads={"history", "order", "texts"},
    text_dependent=True,
)(Transformer)
source(name="sasrec", reason="taken_next", label="order, by a transformer of ids alone", reads={"history", "order"})(
    SASRec
)
source(
    name="transition_knn",
    reason="taken_next",
    label="order, counted",
    reads={"history", "order", "confidence"},
)(TransitionKNN)
source(name="contextual", reason="context", label="context", reads={"context"})(Contextual)
source(name="demographic", reason="profile", label="profile", reads={"profile"})(Demographic)
source(name="user_text", reason="own_words", label="users' own words", reads={"user_text"}, text_dependent=True)(
    UserText
)
source(name="popular", reason="popular", label="popularity", reads={"popularity"})(Popular)
