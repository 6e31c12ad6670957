"""Recorded outputs beside those of a rerun, with planted hashes."""

from dataclasses import replace

from tailor.reproduction.compare import Comparison, code_warnings, different_figures, figure_lines
from tailor.reproduction.record import Code, Output

MADE = [
    Output("data.clean", "table", "a"),
    Output("data.split", "train", "b"),
    Output("data.split", "test", "c"),
    Output("lm.tune", "adapter", "d"),
    Output("lm.tune", "history", "e"),
    Output("data.late", "summary", "f"),
]
CODE = Code("0.2.0", "1234", False, "lock", "source", {"numpy": "2.0", "torch": "2.9"})


def rerun(**changed):
    """The same outputs, some with another hash; those with None were not made."""
    hashes = {output.name: output.digest for output in MADE} | changed
    return [replace(output, digest=hashes[output.name]) for output in MADE if hashes[output.name] is not None]


def test_equal_outputs_are_counted_by_pipeline():
    same = Comparison.of(MADE, rerun())
    assert list(same.lines()) == ["data: equal (4 outputs)", "lm: equal (2 outputs)"]
    assert same.different() == []
    assert same.first_difference() == ""
    assert list(Comparison.of(MADE[:1], rerun()).lines()) == ["data: equal (1 output)"]


def test_the_first_node_that_differs_is_named_with_its_outputs():
    other = Comparison.of(MADE, rerun(adapter="x", history="y", summary="z"))
    assert other.first_difference() == "lm.tune (adapter, history)"
    assert list(other.lines()) == [
        "data: 1 of 4 outputs differ (summary)",
        "lm: 2 of 2 outputs differ (adapter, history)",
    ]
    assert Comparison.of(MADE, rerun(test="x", adapter="y")).first_difference() == "data.split (test)"


def test_what_was_not_made_differs_and_what_is_new_does_not_count():
    assert Comparison.of(MADE, rerun(history=None)).first_difference() == "lm.tune (history)"
    assert Comparison.of(MADE[:3], rerun()).first_difference() == ""
    moved = [replace(output, node="data.other") for output in MADE]
    assert Comparison.of(MADE, moved).first_difference() == "data.clean (table)"


def test_figures_stand_side_by_side():
    recorded, again = {"warm": 0.5, "cold": 0.25, "loss": 3.0}, {"warm": 0.5, "cold": 0.125, "new": 1.0}
    assert different_figures(recorded, again) == ["cold"]
    assert figure_lines(recorded, again, "3") == [
        "figure     version 3         rerun",
        "warm      0.50000000    0.50000000",
        "cold      0.25000000    0.12500000",
        "Largest difference of these figures: 0.125",
    ]
    assert figure_lines({}, again, "3") == ["The run of this version holds no headline figures to compare."]
    assert different_figures(recorded, {"warm": 0.5 + 2**-53}) == ["warm"]


def test_the_same_code_is_no_warning():
    assert code_warnings(CODE, CODE) == []


def test_another_commit_says_how_to_get_there():
    (warning,) = code_warnings(CODE, replace(CODE, git_commit="5678", source="other"))
    assert warning == ("The version was made by commit 1234, this is 5678: `git checkout 1234` for the same code.")


def test_changes_that_are_not_committed_are_a_warning():
    (here,) = code_warnings(CODE, replace(CODE, git_dirty=True))
    assert here.startswith("This working tree has changes on top of commit 1234")
    (there,) = code_warnings(replace(CODE, git_dirty=True, source="other"), CODE)
    assert there.startswith("The version was made with changes on top of commit 1234")


def test_other_code_without_a_commit_is_seen():
    unknown = replace(CODE, git_commit="unknown")
    (warning,) = code_warnings(unknown, replace(unknown, source="other"))
    assert warning == "The code of Tailor here is not the code that the version was made by."
    (version,) = code_warnings(CODE, replace(CODE, tailor_version="0.3.0"))
    assert version == "The version was made by Tailor 0.2.0, this is 0.3.0."


def test_packages_of_other_versions_are_named():
    here = replace(CODE, packages={"numpy": "2.1", "pandas": "3.1"})
    (warning,) = code_warnings(CODE, here)
    assert warning.startswith("The version was made with numpy 2.0 (here 2.1), torch 2.9 (here none): ")
    many = replace(CODE, packages={f"p{n}": "1" for n in range(8)})
    (warning,) = code_warnings(many, replace(CODE, packages={}))
    assert "p4 1 (here none) and 3 more: " in warning
    assert "p5" not in warning
