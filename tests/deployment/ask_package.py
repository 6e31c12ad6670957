"""Ask a package in process: `python tests/deployment/ask_package.py FOLDER [--no-words]`; torch must not be there.

With --no-words, the package has no token table, and words are refused.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import tailor
from tailor.errors import BadInputError
from tailor.serving.items import ItemStore


def main(folder: str, *options: str) -> None:
    """Ask by id, by history, by words, and for a new item by the words of its text."""
    assert importlib.util.find_spec("torch") is None
    if "--no-words" in options:
        _forget_student(Path(folder))
    model, settings = tailor.load(folder), tailor.Settings(k=3)
    known, history = str(model.user_ids[0]), [str(item) for item in model.item_ids[:2]]
    by_id, by_history = model.recommend([tailor.Request(user_id=known), tailor.Request(history=history)], settings)
    assert (by_id.path, by_history.path) == ("known_user", "fold_in"), (by_id.path, by_history.path)
    assert len(by_id.item_ids) == len(by_history.item_ids) == 3
    title, genre = model.known_metadata.table["title"].iloc[-1], model.known_metadata.categories[-1][0]
    words = [tailor.Request(query=f"{title} {genre}")]
    if "--no-words" in options:
        print(_refused(lambda: model.recommend(words, settings)))
        return
    assert len(model.recommend(words, settings)[0].item_ids) == 3
    row = {"item_id": "new", "title": title, "genre": genre}
    with tempfile.TemporaryDirectory() as aside:
        grown = ItemStore.open(Path(aside) / "items.json").put(model, [row])
    answer = grown.recommend(words, settings.model_copy(update={"k": len(grown.item_ids)}))[0]
    rank = answer.item_ids.index("new") + 1
    print(f"by id: {by_id.item_ids}; by history: {by_history.item_ids}; '{title} {genre}' finds the new item at {rank}")
    assert rank <= len(grown.item_ids) // 4, rank


def _refused(call: object) -> str:
    try:
        call()
    except BadInputError as problem:
        assert "torch, which is not installed" in str(problem), problem
        return str(problem)
    raise AssertionError("words were read")


def _forget_student(folder: Path) -> None:
    """Take the files that are gone out of the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: sha for name, sha in manifest["files"].items() if (folder / name).is_file()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main(*sys.argv[1:])
