"""Wait for a server of Tailor and ask it for one list: `python tests/deployment/ask.py http://127.0.0.1:5071`.

TAILOR_TOKEN goes along; `--health` is content with /health.
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
    body = json.dumps({"k": 3}).encode()
    request = urllib.request.Request(f"{url}/recommend", body, headers())
    with urllib.request.urlopen(request, timeout=30) as answer:
        items = json.load(answer)["items"]
    print("items:", ", ".join(item["item_id"] for item in items))
    assert len(items) == 3


def headers() -> dict[str, str]:
    """Return what a request needs beside its body."""
    token = os.environ.get("TAILOR_TOKEN")
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})


if __name__ == "__main__":
    main(*sys.argv[1:])
