"""What outlives a process and is shared by all that answer: added items, removals and events, in a database.

Nothing here knows a model: :mod:`tailor.serving.items` says what becomes of one. What only answers
imports no SQLAlchemy.
"""
