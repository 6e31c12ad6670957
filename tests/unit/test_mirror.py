"""Every module of the packages that `make mutants` changes has unit tests of its own."""

from tests.mutation import equivalents, mirror


def test_each_module_has_unit_tests_and_the_exceptions_name_what_exists():
    assert mirror.problems(mirror.modules()) == []


def test_a_module_without_tests_is_named():
    assert mirror.problems(["src/tailor/hybrid/nothing.py"]) == [
        "src/tailor/hybrid/nothing.py has no unit tests: add the file that mirrors it"
    ]


def test_equivalent_mutants_change_lines_that_exist():
    assert equivalents.stale() == []
    assert all(entry.reason for entry in equivalents.equivalents())


def test_the_tests_of_a_module_mirror_its_path():
    assert mirror.tests_of("src/tailor/serving/schema.py")[0] == "tests/unit/serving/test_schema.py"
