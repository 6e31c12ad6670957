"""Wait for a server of Tailor and ask it for one list: `python tests/deployment/ask.py http://127.0.0.1:5071`.

TAILOR_TOKEN goes along; `--health` is content with /health, `--all` asks by id, history and words and puts an item.
"""

import json
import os
import sys
import time
import urllib.request

PATIENCE_S = 180


def main(url: str, *options: str) -> None:
    """Wait until /health answers, then ask for what an anonymous user gets."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                print("health:", answer.read().decode())
                break
        except OSError:
            if time.monotonic() > deadline:
                sys.exit(f"{url}/health does not answer after {PATIENCE_S} s")
            time.sleep(0.5)
    if "--health" in options:
        return
    asked = [{}]
    if "--all" in options:
        new = {"item_id": "new", "title": "Frontier Cowboy"}
        print("put:", send("PUT", f"{url}/items", {"items": [new]}))
        asked += [{"user_id": "u1"}, {"history": ["i1", "i2"]}, {"query": "frontier cowboy"}, {"history": ["new"]}]
    for fields in asked:
        items = send("POST", f"{url}/recommend", {"k": 3} | fields)["items"]
        print(f"items for {fields}:", ", ".join(item["item_id"] for item in items))
        assert len(items) == 3


def send(method: str, url: str, body: dict) -> dict:
    """Send a body as JSON and return the answer."""
    request = urllib.request.Request(url, json.dumps(body).encode(), headers(), method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def headers() -> dict[str, str]:
    """Return what a request needs beside its body."""
    token = os.environ.get("TAILOR_TOKEN")
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})


if __name__ == "__main__":
    main(*sys.argv[1:])
