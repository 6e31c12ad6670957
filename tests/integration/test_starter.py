"""A project of the starter; `make test-starter` runs and serves one with the wheel of this checkout."""

import filecmp
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from tailor.environment import LOADER_ARGS
from tailor.options import ProjectOptions
from tests.conftest import BIN, ROOT, environment

pytestmark = pytest.mark.slow
STARTER = ROOT / "starters/tailor-starter"


def make(folder, starter=STARTER, **answers):
    """Call `kedro new` in a folder."""
    answered = {"project_name": "Corner Shop", "repo_name": "corner-shop", "python_package": "corner_shop"} | answers
    (folder / "answers.yml").write_text(yaml.safe_dump(answered))
    return subprocess.run(
        [str(BIN / "kedro"), "new", f"--starter={starter}", "--telemetry=no", "--config=answers.yml"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starter")
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "corner-shop"


def test_it_has_the_base_configuration_of_this_version(project):
    files = [path.relative_to(ROOT / "conf/base") for path in (ROOT / "conf/base").rglob("*.yml")]
    assert len(files) > 10
    _, different, missing = filecmp.cmpfiles(ROOT / "conf/base", project / "conf/base", files, shallow=False)
    assert not different
    assert not missing
    assert (project / "conf/logging.yml").exists()


def test_nothing_is_left_to_fill_in(project):
    for path in project.rglob("*"):
        assert "cookiecutter" not in path.name
        if path.is_file() and "conf/base" not in path.as_posix():
            assert "cookiecutter" not in path.read_text(), path
    assert 'name = "corner-shop"' in (project / "pyproject.toml").read_text()


def test_its_parameters_are_those_of_the_project_with_the_source(project):
    loader = OmegaConfigLoader(str(project / "conf"), env="trial", **LOADER_ARGS)
    options = ProjectOptions.model_validate(dict(loader["parameters"]) | {"plugins": []} | sources(loader))
    assert options.model_name == "corner-shop-trial"
    assert loader["parameters"]["plugins"] == ["corner_shop.sources"]
    assert loader["parameters"]["hybrid_cf"]["sources"]["user_knn"] == {"shrinkage": 5.0}
    assert loader["catalog"]["raw_items"]["type"] == "tailor.datasets.PlantedDataset"


def sources(loader):
    """The hybrid's parameters without the source, which this process does not know."""
    hybrid = dict(loader["parameters"]["hybrid_cf"])
    return {"hybrid_cf": hybrid | {"sources": {k: v for k, v in hybrid["sources"].items() if k != "user_knn"}}}


def test_its_source_is_that_of_the_tutorial_and_passes_its_tests(project):
    page = (ROOT / "docs/tutorials/own-source.md").read_text()
    (code,) = re.findall(r"<!-- file: src/myshop/sources.py -->\n```python\n(.*?)```", page, re.DOTALL)
    assert (project / "src/corner_shop/sources.py").read_text() == code
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project,
        env=environment() | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_a_starter_outside_a_checkout_says_what_it_needs(tmp_path):
    (tmp_path / "alone").mkdir()
    shutil.copytree(STARTER, tmp_path / "alone/tailor-starter")
    done = make(tmp_path, tmp_path / "alone/tailor-starter")
    assert done.returncode
    assert "take the starter from a whole checkout of Tailor" in " ".join((done.stdout + done.stderr).split())
    assert not (tmp_path / "corner-shop").exists()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"repo_name": "Corner Shop"}, "repo_name = 'Corner Shop': a folder starts with a lower-case letter"),
        ({"python_package": "tailor"}, "python_package = 'tailor': a package starts with"),
    ],
)
def test_a_name_that_will_not_do_is_refused_before_anything_is_written(tmp_path, answer, message):
    done = make(tmp_path, **answer)
    assert done.returncode
    assert message in " ".join((done.stdout + done.stderr).split())
    assert [path.name for path in tmp_path.iterdir()] == ["answers.yml"]
