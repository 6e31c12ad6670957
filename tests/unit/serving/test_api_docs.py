"""The description of the HTTP face: complete, with examples, and shown without the internet."""

import json
import re
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from tailor.serving import api_docs
from tailor.serving.answers import RecommendBody
from tailor.serving.bodies import read_question, read_rows
from tailor.serving.http import create_app


@pytest.fixture
def champion():
    return SimpleNamespace(answering=None, last_error="", refresh=lambda: False)


@pytest.fixture
def described(champion):
    return TestClient(create_app(champion), "http://localhost").get("/openapi.json").json()


def test_every_operation_has_a_summary_a_description_and_examples(described):
    operations = {f"{method} {path}": one for path, of in described["paths"].items() for method, one in of.items()}
    assert len(operations) == 12
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], name
    for name in ("post /recommend", "put /items"):
        assert operations[name]["requestBody"]["content"]["application/json"]["examples"]


def test_bodies_are_described_by_their_own_models_and_examples_are_read(described):
    schemas = described["components"]["schemas"]
    assert set(schemas["RecommendBody"]["properties"]) == set(RecommendBody.model_fields)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described)))
    assert references <= set(schemas)
    for path, method, read in (("/recommend", "post", read_question), ("/items", "put", read_rows)):
        content = described["paths"][path][method]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            read(json.dumps(example["value"]).encode())


def test_the_token_is_part_of_the_description_where_there_is_one(champion, described):
    assert "securitySchemes" not in described["components"]
    client = TestClient(create_app(champion, "secret"), "http://localhost", headers={"Authorization": "Bearer secret"})
    guarded = client.get("/openapi.json").json()
    assert guarded["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert guarded["security"] == [{"token": []}]


def test_the_page_loads_nothing_from_elsewhere(champion):
    pytest.importorskip(api_docs.PACKAGE)
    client = TestClient(create_app(champion), "http://localhost")
    page = client.get("/docs")
    assert "http" not in page.text
    for name in re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text):
        assert len(client.get(f"/{name}").content) > 100_000
    assert "script-src 'self' 'sha256-" in page.headers["content-security-policy"]
    assert client.get("/docs/../http.py").status_code == client.get("/docs/x.js").status_code == 404


def test_without_the_package_the_page_says_what_to_install(champion, monkeypatch):
    monkeypatch.setattr(api_docs, "find_spec", lambda name: None)
    client = TestClient(create_app(champion), "http://localhost")
    answer = client.get("/docs")
    assert (answer.status_code, "pip install 'tailor-recsys[serve]'" in answer.json()["detail"]) == (404, True)
    assert client.get("/docs/swagger-ui.css").status_code == 404
