"""What outlives a process and is shared by all that answer: added items and removals, in a database.

Nothing here knows a model: :mod:`tailor.serving.items` says what becomes of one.
"""

from tailor.state.store import State, StateStore, StoredItem
from tailor.state.tables import STATE_VARIABLE, StateError, address_of

__all__ = ["STATE_VARIABLE", "State", "StateError", "StateStore", "StoredItem", "address_of"]
