"""What a plain-language query asks for: categories, titles, dates, degrees and negations in anybody's words."""

from tailor.serving.intent.parse import MAX_QUERY, Intent, parse_query
from tailor.serving.intent.titles import TitleIndex

__all__ = ["MAX_QUERY", "Intent", "TitleIndex", "parse_query"]
