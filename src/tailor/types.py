"""Types of values that come from outside or go there, and are checked where they are read (pydantic) and not before."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

#: Nested parameters as conf/, a search or a caller gives them.
Parameters: TypeAlias = dict[str, Any]
#: An object of JSON.
JsonObject: TypeAlias = dict[str, Any]
#: An array of any type.
AnyArray: TypeAlias = NDArray[Any]
