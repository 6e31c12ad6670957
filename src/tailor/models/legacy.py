"""How files of Tailor 0.1 are read: one table from the old names to the new ones."""

import numpy as np

from tailor.errors import ConfigurationError
from tailor.models.base import State
from tailor.types import AnyArray, JsonObject, Parameters

META, VERSION = "engines", "0.1.0"

#: Classes that 0.1 saved, and the names their models have now.
MODELS = {
    "Random": "random",
    "Constant": "constant",
    "Popular": "popular",
    "TextKNN": "text_knn",
    "ItemKNN": "item_knn",
    "ImplicitALS": "implicit_als",
    "PlainEASE": "ease",
    "EASE": "text_ease",
    "Sequence": "slit",
    "PlainIALS": "ials",
    "IALS": "text_ials",
    "Profile": "demographic",
    "Context": "contextual",
    "Hybrid": "hybrid",
}
#: Models of a run, as lists and files called them.
BASELINES = {"sequence": "slit", "irspack": "ials", "irspack_features": "text_ials"}
#: Sources of the hybrid, in the order in which 0.1 saved their weights.
SOURCES = {
    "mf": "ials",
    "text_mf": "text_factors",
    "ease": "ease",
    "sequence": "slit",
    "text": "text_knn",
    "context": "contextual",
    "profile": "demographic",
    "popular": "popular",
}
#: Boosts: their names in requests, scenarios and saved options.
BOOSTS = {
    "cold_exposure": "cold_boost",
    "tail_weight": "tail_boost",
    "personal_weight": "popularity_debias",
    "cold_span": "cold_boost_scale",
    "tail_span": "tail_boost_scale",
}
#: Sources whose options 0.1 kept under the old name in the hybrid's own.
_CONFIGURED = {"ials": "mf", "ease": "ease", "sequence": "sequence", "context": "context", "profile": "profile"}


def convert(recipes: JsonObject, state: State) -> tuple[Parameters, State]:
    """Rewrite what 0.1 saved as this version saves it.

    Args:
        recipes: engine (class name), options and seed by name of the model.
        state: arrays under ``name/key``.

    Raises:
        ConfigurationError: a class is none that 0.1 had.
    """
    converted: JsonObject = {}
    arrays: State = {}
    for name, recipe in recipes.items():
        if recipe["engine"] not in MODELS:
            raise ConfigurationError(f"no model '{recipe['engine']}'. Known of 0.1: {', '.join(sorted(MODELS))}.")
        model, new_name = MODELS[recipe["engine"]], BASELINES.get(name, name)
        saved = {key.split("/", 1)[1]: value for key, value in state.items() if key.startswith(f"{name}/")}
        config = recipe["options"]
        if model == "hybrid":
            config, saved = _hybrid_config(config), _hybrid_state(saved)
        else:
            config = _rename_limit(config)
        converted[new_name] = {"model": model, "config": config, "seed": recipe["seed"]}
        arrays |= {f"{new_name}/{key}": value for key, value in saved.items()}
    return converted, arrays


def rename_boosts(settings: Parameters) -> Parameters:
    """Return settings under the names that boosts have now; ``diversity`` becomes a re-ranker."""
    renamed = {BOOSTS.get(name, name): value for name, value in settings.items()}
    diversity = renamed.pop("diversity", None)
    return renamed if diversity is None else renamed | {"rerank": {"method": "mmr", "strength": diversity}}


def _rename_limit(options: Parameters) -> Parameters:
    """Return options of a model under which the limit of full item-item weights is called as it is now."""
    renamed = {key: value for key, value in options.items() if key != "max_items"}
    return renamed | ({"max_dense_items": options["max_items"]} if "max_items" in options else {})


def _hybrid_config(options: Parameters) -> Parameters:
    sources: Parameters = {new: {} for new in SOURCES.values()}
    for key, old in _CONFIGURED.items():
        sources[SOURCES[old]] = _rename_limit(options[key])
    for old in options.get("without", []):
        del sources[SOURCES[old]]
    boosts = {name: value for name, value in rename_boosts(options["dials"]).items() if name != "head_share"}
    return {"sources": sources, "cold_items": options["kernel"], "boosts": boosts}


def _hybrid_state(saved: State) -> State:
    if len(saved["gate/base"]) != len(SOURCES):
        raise ConfigurationError(f"it weighs {len(saved['gate/base'])} sources, 0.1 had {len(SOURCES)}")
    state: State = {
        "warm": saved["warm"],
        "tail": saved["tail"],
        "popularity": saved["popularity"],
        "popularity_of_none": np.array([_popularity_of_none(saved["popular/counts"], saved["warm"])]),
        "mean_activity": saved["activity"],
        "cold_items/landmarks": saved["kernel/landmarks"],
        "sources/text_factors/vectors": saved["kernel/text_factors"],
        **_blend_state(saved),
    }
    for old, new in SOURCES.items():
        for key, value in saved.items():
            if key.startswith(f"{old}/"):
                state[f"sources/{new}/{key.split('/', 1)[1]}"] = value
    for row, new in enumerate(SOURCES.values()):
        state[f"mean_scores/{new}"] = saved["common"][row]
    if "click/theta" in saved:
        state["click/theta"] = saved["click/theta"]
    return state


def _popularity_of_none(counts: AnyArray, warm: AnyArray) -> float:
    logs = np.log1p(counts[warm.astype(bool)].astype(np.float64)) if warm.any() else np.zeros(1)
    return float(-logs.mean() / (logs.std() or 1.0))


def _blend_state(saved: State) -> State:
    """Name the weights of each source, which 0.1 told apart by their place alone."""
    bias, centre, scale, shift = saved["gate/scalars"]
    state: State = {
        "blend/bias": np.array(bias),
        "blend/activity_centre": np.array(centre),
        "blend/activity_scale": np.array(scale),
        "blend/cold_shift": np.array(shift),
        **{f"blend/{name}": saved[f"gate/{name}"] for name in ("user_map", "item_map", "out")},
        "blend/few_shot_lengths": saved["gate/newcomer_lengths"],
    }
    for row, source in enumerate(SOURCES.values()):
        for name in ("base", "by_popularity", "by_activity", "cold"):
            state[f"blend/{name}/{source}"] = np.array(saved[f"gate/{name}"][row])
        state[f"blend/few_shot/{source}"] = np.array(saved["gate/newcomer"][:, row])
    return state
