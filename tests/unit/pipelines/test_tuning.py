"""What a search leaves out of its space."""

from tailor.hybrid.config import HybridOptions
from tailor.pipelines.tuning.nodes import _used


def test_dimensions_of_sources_that_are_left_out_are_not_searched():
    space = dict.fromkeys(("ials.alpha", "slit.half_life", "ease.dropout", "cold_items.width", "eaze.x"), (0.1, 1.0))
    options = HybridOptions(sources={"ials": {}, "slit": None})
    assert list(_used(space, options)) == ["ials.alpha", "cold_items.width", "eaze.x"]  # what does not exist is refused
