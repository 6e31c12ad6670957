"""The record is written after the node that registers, and after no other."""

from types import SimpleNamespace

import pytest

from tailor.reproduction import digests, hooks
from tailor.reproduction.record import Output


@pytest.fixture
def written(monkeypatch):
    """Pairs of run and record, with hashes that cost nothing."""
    pairs = []
    monkeypatch.setattr(hooks.record, "write", lambda *pair: pairs.append(pair))
    monkeypatch.setattr(hooks.digests, "reproducible", lambda whole: whole)
    monkeypatch.setattr(hooks.digests, "raw_digests", lambda *_: {"raw_items": "1"})
    monkeypatch.setattr(hooks.digests, "digest_outputs", lambda pipeline, catalog, made: [Output("a", made, "2")])
    monkeypatch.setattr(hooks, "default_pipeline", lambda: None)
    return pairs


def after(name, run_id, tmp_path):
    hook = hooks.ReproductionHooks()
    loader = {"globals": {"data": "data/shop"}}
    hook.after_context_created(SimpleNamespace(env="shop", project_path=tmp_path, config_loader=loader))
    catalog = SimpleNamespace(load=lambda name: {"seed": 3})
    inputs = {"fingerprint": {"data_hash": "4"}, digests.RECOMMENDER: "recommender"}
    hook.after_node_run(SimpleNamespace(name=name), catalog, inputs, {"registered_model": {"run_id": run_id}})


def test_a_registered_version_gets_its_record(written, tmp_path):
    after(digests.REGISTER, "r1", tmp_path)
    ((run_id, record),) = written
    assert run_id == "r1"
    assert (record.environment, record.data, record.parameters) == ("shop", "data/shop", {"seed": 3})
    assert (record.raw, record.fingerprint) == ({"raw_items": "1"}, {"data_hash": "4"})
    assert record.outputs == [Output("a", "recommender", "2")]


def test_other_nodes_and_runs_that_are_in_no_store_get_none(written, tmp_path):
    after("registration.track", "r1", tmp_path)
    after(digests.REGISTER, None, tmp_path)
    assert written == []
