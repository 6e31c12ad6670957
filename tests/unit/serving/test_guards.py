"""What stands before the routes: each refusal is made before anything else is done."""

import asyncio
import base64

import pytest

from tailor.serving.guards import LOOPBACK, BoundedBodies, KnownHosts, Meter, Metered, SecurityHeaders, TokenNeeded


async def echo(scope, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(app, method="GET", path="/items", headers=(), chunks=(b"",), pause_s=0.0):
    """Status, headers and body of an answer, and how many chunks of the request were read."""
    left, sent, read = list(chunks), [], 0

    async def receive():
        nonlocal read
        read += 1
        await asyncio.sleep(pause_s)
        if not left:
            return {"type": "http.disconnect"}
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "headers": lines}
    asyncio.run(app(scope, receive, send))
    if not sent:
        return None, {}, b"", read
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"], read


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_a_body_is_counted_as_it_comes_whatever_its_headers_say():
    app = BoundedBodies(echo, seconds=5, max_body=10)
    assert ask(app, chunks=[b"12345", b"67890"])[::2] == (200, b"1234567890")
    for headers in ([], [("Transfer-Encoding", "CHUNKED")], [("Transfer-Encoding", "chunked")] * 2):
        status, _, body, read = ask(app, headers=headers, chunks=[b"123456", b"78901", b"x" * 1000])
        assert (status, body) == (413, b'{"detail": "The body is larger than 10 bytes"}')
        assert read == 3  # what is a little too long is let go by, so that its client reads the refusal
    assert app.held == 0


def test_of_a_body_that_is_much_too_long_the_rest_is_not_waited_for():
    app = BoundedBodies(echo, seconds=5)
    status, _, _, read = ask(app, chunks=[bytes(1_000_000)] * 100)
    assert (status, read) == (413, 2 + 4)
    status, _, _, read = ask(app, headers=[("Content-Length", "2000000")], chunks=[b"x"] * 1000, pause_s=0.05)
    assert status == 413
    assert read < 25  # a second of it


@pytest.mark.parametrize(("length", "status"), [("10", 200), ("11", 413), ("-1", 400), ("9" * 30, 413), ("x", 400)])
def test_a_length_that_is_named_is_looked_at_first(length, status):
    answer = ask(BoundedBodies(echo, seconds=5, max_body=10), headers=[("Content-Length", length)])
    assert answer[0] == status
    assert answer[3] == (0 if status == 400 else 1)


def test_a_body_that_drips_is_given_up():
    app = BoundedBodies(echo, seconds=0.1)
    status, _, body, _ = ask(app, chunks=[b"x"] * 100, pause_s=0.02)
    assert (status, body) == (408, b'{"detail": "The body did not come within 0.1 s"}')
    assert app.held == 0


def test_bodies_of_all_connections_are_bounded_together():
    app = BoundedBodies(echo, seconds=5, max_held=10)
    app.held = 6  # of others
    assert ask(app, chunks=[b"1234"])[0] == 200
    status, headers, _, _ = ask(app, chunks=[b"12345"])
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert app.held == 6


def test_who_goes_before_the_end_is_not_answered():
    assert ask(BoundedBodies(echo, seconds=5), chunks=[])[0] is None


# --- the token -------------------------------------------------------------------------------------------------------


def test_without_the_token_no_byte_is_read():
    app = TokenNeeded(BoundedBodies(echo, seconds=5), "secret")
    for given in ("", "Bearer", "Bearer wrong", "secret", "Basic c2VjcmV0", "Bearer secret2", "Bearer \xe9"):
        status, headers, _, read = ask(app, "PUT", headers=[("Authorization", given)])
        assert (status, read, headers[b"www-authenticate"]) == (401, 0, b"Bearer"), given
    assert ask(app, headers=[("Authorization", "Bearer secret")] * 2)[0] == 401
    for given in ("Bearer secret", "bearer secret", "BEARER  secret "):
        assert ask(app, "PUT", headers=[("Authorization", given)])[0] == 200
    assert ask(app, path="/health")[0] == ask(app, path="/")[0] == 200
    assert ask(app, path="//health")[0] == ask(app, path="/health/x")[0] == 401
    assert ask(TokenNeeded(echo, ""))[0] == 200


def test_a_browser_can_send_the_token_as_a_password_to_the_docs_alone():
    app = TokenNeeded(echo, "secret")
    right = [("Authorization", "Basic " + base64.b64encode(b"anybody:secret").decode())]
    wrong = [("Authorization", "Basic " + base64.b64encode(b"anybody:wrong").decode())]
    for path in ("/docs", "/docs/swagger-ui.css", "/openapi.json"):
        assert ask(app, path=path, headers=right)[0] == 200
        status, headers, _, _ = ask(app, path=path, headers=wrong)
        assert (status, headers[b"www-authenticate"].split()[0]) == (401, b"Basic")
    assert ask(app, path="/docs", headers=[("Authorization", "Basic !")])[0] == 401
    assert ask(app, path="/items", headers=right)[0] == 401
    assert ask(app, "PUT", path="/docs", headers=right)[0] == 401


# --- hosts and origins -----------------------------------------------------------------------------------------------


def test_only_names_of_the_server_are_answered():
    app = KnownHosts(echo, ["shop.example"])
    for name in ("localhost:5071", "127.0.0.1", "[::1]:80", "SHOP.example.", "shop.example:443"):
        assert ask(app, headers=[("Host", name)])[0] == 200, name
    for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "shop.example.evil"):
        status, _, body, read = ask(app, headers=[("Host", name)])
        assert (status, read) == (421, 0), name
        assert b"--hosts or TAILOR_HOSTS" in body
    for headers in ([], [("Host", "")], [("Host", "a@localhost")], [("Host", "localhost")] * 2):
        assert ask(app, headers=headers)[0] == 400
    assert ask(app, path="/health")[0] == 200
    assert ask(KnownHosts(echo, ["*"]), headers=[("Host", "any.example")])[0] == 200
    assert {"localhost", "127.0.0.1", "::1"} == LOOPBACK


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH"])
def test_a_page_of_another_origin_changes_nothing(method):
    app, host = KnownHosts(echo, ["shop.example", "127.0.0.1", "10.0.0.1"]), [("Host", "localhost:5071")]

    def status(*headers):
        return ask(app, method, headers=[*host, *headers])[0]

    assert status() == status(("Origin", "http://localhost:5071")) == status(("Sec-Fetch-Site", "same-origin")) == 200
    assert status(("Origin", "https://shop.example")) == 200  # behind a proxy that says another Host
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:3000",
        "http://127.0.0.1",
        "http://10.0.0.1:80",
        "http://localhost:3000",
        "http://localhost",
        "localhost:5071",
        "",
    ):
        assert status(("Origin", origin)) == 403, origin
    assert status(("Sec-Fetch-Site", "cross-site")) == status(("Sec-Fetch-Site", "same-site")) == 403
    assert status(*[("Origin", "http://localhost:5071")] * 2) == 403
    assert ask(app, "GET", headers=[*host, ("Origin", "http://evil.example")])[0] == 200  # which it cannot read


# --- every answer ----------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_and_what_a_route_says_stays():
    async def own(scope, receive, send):
        headers = [(b"Cache-Control", b"private"), (b"x", b"y")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    headers = ask(SecurityHeaders(echo))[1]
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff"
    headers = ask(SecurityHeaders(own))[1]
    assert headers[b"Cache-Control"] == b"private"
    assert b"cache-control" not in headers


def test_what_is_raised_is_answered_counted_and_logged_without_its_message(caplog):
    async def broken(scope, receive, send):
        raise ValueError("user u123")

    meter = Meter()
    status, _, body, _ = ask(Metered(broken, meter))
    assert (status, b"u123" in body) == (500, False)
    assert "ValueError, raised at" in caplog.text
    assert "u123" not in caplog.text
    assert meter.registry.get_sample_value("tailor_requests_total", {"route": "other", "status": "500"}) == 1


def test_an_answer_that_breaks_off_is_counted_once(caplog):
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError

    meter = Meter()
    assert ask(Metered(broken, meter))[0] == 200
    assert meter.registry.get_sample_value("tailor_requests_total", {"route": "other", "status": "200"}) == 1


def test_an_origin_that_is_no_address_is_another_origin():
    app = KnownHosts(echo, ())
    assert ask(app, "DELETE", headers=[("Host", "localhost"), ("Origin", "http://[")])[0] == 403
