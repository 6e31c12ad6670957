"""``parameters/spark.yml``."""

from tailor.config import Count, Options


class SparkOptions(Options):
    """How the session is made, and how work is cut."""

    master: str | None = None
    """Where Spark runs: local[*] is this machine, else the URL of a cluster. null: no session is made."""
    settings: dict[str, str | int | float | bool] = {}
    """Settings of Spark itself, as spark.executor.memory; they go over those that Tailor sets."""
    user_blocks: Count = 8
    """Blocks that users are cut into by a hash. One task holds the rows of a block and what lists of 512 of its users
    need: 4 bytes x 512 x items x 3."""
    item_blocks: Count = 8
    """Blocks that items are solved in. A user's factors travel once to each that has an item of theirs."""
