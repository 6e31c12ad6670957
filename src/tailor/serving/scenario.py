"""Scenarios: some of the settings under a name, which a request fills in what it does not set from."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from pydantic import create_model

from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.serving.rules import Block
from tailor.serving.schema import BOOSTS, OF_SCENARIOS, PresentNames, Request, Settings
from tailor.serving.validation import Validated
from tailor.types import JsonObject


def _optional(model: type[Validated], *names: str) -> JsonObject:
    """Return fields of a model for another one, each optional."""
    return {name: (model.model_fields[name].rebuild_annotation() | None, None) for name in names}


#: Some of the settings under a name, with what joins that of each request.
Scenario: Any = create_model(
    "Scenario",
    __base__=PresentNames,
    __doc__="Some of the settings under a name, with filters, pins and block rules that join those of each request.",
    **_optional(Settings, *(name for name in Settings.model_fields if name != "scenario")),
    **_optional(Request, *OF_SCENARIOS),
)


def read_scenarios(parameters: Mapping[str, Mapping[str, object]]) -> dict[str, JsonObject]:
    """Validate named scenarios; return what each sets, as JSON takes it.

    Raises:
        ConfigurationError: naming the scenario, the field, its value and what would be right.
    """
    scenarios = {}
    for name, values in parameters.items():
        try:
            scenarios[name] = Scenario(**values).model_dump(mode="json", exclude_none=True)
        except BadInputError as problem:
            raise ConfigurationError(f"Parameter 'evaluation.scenarios.{name}': {problem}") from None
    return scenarios


def apply_scenario(
    requests: Sequence[Request], settings: Settings, scenarios: Mapping[str, Mapping[str, object]]
) -> tuple[Sequence[Request], Settings]:
    """Fill in from the scenario what is not set; its filters, pins and block rules join those of each request.

    Args:
        requests: what is asked.
        settings: where the scenario is named.
        scenarios: of the model, as :func:`resolved` returned them.

    Raises:
        BadInputError: the model has no such scenario.
    """
    if settings.scenario is None:
        return requests, settings
    if settings.scenario not in scenarios:
        raise BadInputError(
            f"Unknown scenario '{settings.scenario}'.{did_you_mean(settings.scenario, scenarios)} "
            f"This model has: {', '.join(scenarios) or 'none'}."
        )
    values: JsonObject = dict(scenarios[settings.scenario])
    rules = Request(**{name: values.pop(name) for name in OF_SCENARIOS if name in values})
    is_set = {name: getattr(settings, name) for name in settings.model_fields_set}
    is_set = {name: value for name, value in is_set.items() if value is not None}
    if rules.model_fields_set:
        requests = [_under(rules, request) for request in requests]
    return requests, Settings(**(values | is_set))


def _under(rules: Request, request: Request) -> Request:
    """Return a request with the filters, pins and block rules of a scenario."""
    blocks = [block for block in (rules.block, request.block) if block is not None]
    joined: JsonObject = {"filters": {**rules.filters, **request.filters}, "pins": (*rules.pins, *request.pins)}
    joined["block"] = reduce(Block.joined, blocks) if blocks else None
    return request.model_copy(update=joined)


def resolved(scenario: Mapping[str, object], operating_point: Mapping[str, float]) -> JsonObject:
    """Return the settings of a scenario at an operating point: a boost b goes the share b of the way from there to 1.

    Example:
        >>> resolved({"tail_boost": 0.5, "k": 10}, {"tail_boost": 0.2})
        {'tail_boost': 0.6, 'k': 10}
    """
    values = _of_earlier_versions(scenario)
    for name in BOOSTS & values.keys():
        start = operating_point.get(name, 0.0)
        values[name] = start + values[name] * (1 - start)
    return values


def _of_earlier_versions(scenario: Mapping[str, object]) -> JsonObject:
    """Read a packaged scenario; those of 0.1 say ``diversity`` and null."""
    values = {name: value for name, value in scenario.items() if value is not None}
    strength = values.pop("diversity", None)
    return values if strength is None else {"rerank": {"method": "mmr", "strength": strength}} | values
