"""Names of the columns that Tailor reads and writes, in one place."""

from typing import Final

USER: Final = "user_id"
ITEM: Final = "item_id"
VALUE: Final = "value"
TIMESTAMP: Final = "timestamp"
EVENT: Final = "event"
#: How sure it is that the user likes the item, in [0, 1], where kinds of behaviour are told apart; 0: it is blocked.
CONFIDENCE: Final = "confidence"
TEXT: Final = "text"
PIECES: Final = "pieces"
TITLE: Final = "title"
CATEGORY: Final = "category"
SPLIT: Final = "split"
#: Of items: which of several catalogues an item is of; an interaction has that of its item.
DOMAIN: Final = "domain"

#: Columns that start so are scenario features of an interaction (device, hour, shop) and are carried as they are.
CONTEXT_PREFIX: Final = "context_"
#: Columns that start so hold a precomputed vector per item (image, audio) and are joined to its embedding.
VECTOR_PREFIX: Final = "vector_"

N_TRAIN: Final = "n_train"
BUCKET: Final = "bucket"
PSEUDO_COLD: Final = "pseudo_cold"
#: What the split adds to the tables of items and users; no column of the raw tables may be called so.
ADDED_TO_ITEMS: Final = (N_TRAIN, BUCKET, PSEUDO_COLD)
ADDED_TO_USERS: Final = (N_TRAIN, BUCKET)

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
COLD: Final = "cold"
COLD_UNUSED: Final = "cold_unused"
NEW_USER: Final = "new_user"
#: Both together, where models may be fitted on them; no label of a row.
TRAIN_AND_VALIDATION: Final = "train_and_validation"
SPLITS: Final = (TRAIN, VALIDATION, TEST, COLD, COLD_UNUSED, NEW_USER)

#: Pairs that are blocked in the train window: lists leave them out, and nothing learns from them.
BLOCKED: Final = "blocked"
#: Rows after the train window that are no targets, weak or blocked: only the model that is handed over knows them.
LATER: Final = "later"
#: Every label of a row; SPLITS are those that have a matrix, and that a given split may use.
LABELS: Final = (*SPLITS, BLOCKED, LATER)

HEAD: Final = "head"
TAIL: Final = "tail"
UNSEEN: Final = "unseen"
ITEM_BUCKETS: Final = (HEAD, TAIL, COLD, UNSEEN)

RANK: Final = "rank"
SCORE: Final = "score"
MODEL: Final = "model"
CANDIDATES: Final = "candidates"
WARM: Final = "warm"
#: Items with a row before the test window, in train or validation: a group of items that positives are counted of.
KNOWN: Final = "known"
#: Arms of an experiment, and aliases of the models in them.
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
MIXED: Final = "mixed"
