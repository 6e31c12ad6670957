"""`tailor`: one command to run pipelines, describe a catalogue and serve. `kedro run` goes the way of `tailor run`.

Nothing is imported before a command needs it: `tailor --help` answers at once.
"""

import importlib.util
import os
import sys
from pathlib import Path

import click

from tailor._version import __version__
from tailor.user_errors import VERBOSE, reported

_LOGGING = "KEDRO_LOGGING_CONFIG"
#: What a command does not know it hands on as it is, --help too.
_HAND_ON = {"ignore_unknown_options": True, "help_option_names": []}
_HELP = frozenset(("-h", "--help"))
_ARGUMENTS = click.argument("arguments", nargs=-1, type=click.UNPROCESSED)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--verbose", is_flag=True, help=f"Show the traceback of every error, as {VERBOSE}=1 does.")
def tailor(verbose: bool) -> None:
    """Recommenders for the long tail: describe a catalogue, run the pipelines, serve the champion."""
    if verbose:
        os.environ[VERBOSE] = "1"


@click.group(name="tailor")
def cli() -> None:
    """Hold the commands that Kedro's own command line takes over."""


@cli.command(context_settings=_HAND_ON, short_help="Run pipelines, as `kedro run` does.")
@click.option("--verbose", is_flag=True)
@click.option("--conf-source")
@_ARGUMENTS
@click.pass_context
def run(context: click.Context, verbose: bool, conf_source: str | None, arguments: tuple[str, ...]) -> None:
    """Run pipelines: --env, --pipelines, --params and whatever else `kedro run` takes; --verbose for tracebacks."""
    with reported(verbose):
        _configure(conf_source)
        from kedro.framework.cli.project import run as kedro_run  # noqa: PLC0415

        given = ["--conf-source", conf_source] if conf_source else []
        kedro_run.main([*given, *arguments], prog_name=context.command_path, standalone_mode=False)


@tailor.command(context_settings=_HAND_ON, short_help="Write a conf folder for a catalogue of yours.")
@_ARGUMENTS
def new(arguments: tuple[str, ...]) -> None:
    """Write a conf folder for a catalogue of yours: tailor new myshop --raw folder."""
    with reported():
        from tailor.new import main as write  # noqa: PLC0415

        sys.exit(write(list(arguments)))


@tailor.command(context_settings=_HAND_ON, short_help="Serve a registered model over HTTP.")
@click.option("--env", envvar="KEDRO_ENV")
@click.option("--conf-source", default="conf")
@_ARGUMENTS
def serve(env: str | None, conf_source: str, arguments: tuple[str, ...]) -> None:
    """Serve a registered model: --env ENV, or --model NAME, and --port N.

    An environment is read with Kedro. Where that is not installed, --model and MLFLOW_TRACKING_URI say what is served.
    """
    with reported():
        given = list(arguments)
        has_project = Path(conf_source).exists() and importlib.util.find_spec("kedro")
        if (env or has_project) and not _HELP.intersection(given):  # help needs nothing that is registered
            from tailor.environment import of_server  # noqa: PLC0415

            given = of_server(env, conf_source, given)
        from tailor.serving.server import main as listen  # noqa: PLC0415

        sys.exit(listen(given))


@tailor.command(short_help="Print the address of an environment's MLflow store.")
@click.option("--env", envvar="KEDRO_ENV", help="A folder of conf/.")
@click.option("--conf-source", default="conf", help="Folder or archive of the configuration.")
def store(env: str | None, conf_source: str) -> None:
    """Print the address of the MLflow store that an environment writes to."""
    with reported():
        from tailor.environment import read_environment  # noqa: PLC0415

        click.echo(read_environment(env, conf_source).tracking_uri)


@tailor.command(short_help="Show what a new visitor gets from a registered model.")
@click.argument("version", default="")
@click.option("--env", envvar="KEDRO_ENV", help="A folder of conf/.")
@click.option("--conf-source", default="conf", help="Folder or archive of the configuration.")
def visit(version: str, env: str | None, conf_source: str) -> None:
    """Show what a new visitor gets from VERSION (number or alias; else the one that is served), step by step."""
    with reported():
        from tailor.environment import open_registry  # noqa: PLC0415

        place = open_registry(env, conf_source)
        from tailor.serving.champion import load_uri  # noqa: PLC0415
        from tailor.serving.visit import describe  # noqa: PLC0415
        from tailor.serving.visit import visit as walk  # noqa: PLC0415

        asked = version or place.alias
        click.echo(describe(walk(load_uri(f"models:/{place.model}{'/' if asked.isdigit() else '@'}{asked}"))))


@tailor.command(short_help="Make a registered version again, and compare.")
@click.argument("version")
@click.option("--env", envvar="KEDRO_ENV", help="A folder of conf/.")
@click.option("--conf-source", default="conf", help="Folder or archive of the configuration.")
@click.option("--keep", type=click.Path(path_type=Path), help="A new folder for the outputs; else they are deleted.")
def reproduce(version: str, env: str | None, conf_source: str, keep: Path | None) -> None:
    """Make VERSION (number or alias) again from its record, and say whether every digit is equal.

    Outputs go to a folder aside; nothing is registered. The status is 0 where all is equal, else 1.
    """
    with reported():
        project = _configure(conf_source)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from tailor.reproduction import command  # noqa: PLC0415

        sys.exit(0 if command.reproduce(version, env, conf_source, project, keep, click.echo) else 1)


@tailor.command(short_help="Judge an environment's recipe at several dates.")
@click.option("--env", envvar="KEDRO_ENV", help="A folder of conf/.")
@click.option("--conf-source", default="conf", help="Folder or archive of the configuration.")
@click.option("--dates", default=4, show_default=True, help="How many; the last one is the time of the last row.")
@click.option("--window", default=0.1, show_default=True, help="Share of the rows between two dates.")
@click.option("--baselines", default="popular,ease,transition_knn,slit", show_default=True, help="Names with commas.")
@click.option("--leave-out", default="", help="Sources that the hybrid is measured without, with commas.")
@click.option("--seed", type=int, help="In place of the environment's own.")
def backtest(
    env: str | None, conf_source: str, dates: int, window: float, baselines: str, leave_out: str, seed: int | None
) -> None:
    """Judge the recipe at several dates: at each, rows after it do not exist and the last window is test.

    An interrupted backtest goes on where it was.
    """
    with reported():
        project = _configure(conf_source)
        from tailor.backtesting import command  # noqa: PLC0415

        options = {"dates": dates, "window": window, "baselines": _names(baselines), "leave_out": _names(leave_out)}
        command.backtest(env, conf_source, project, options, seed, click.echo)


@tailor.command()
def version() -> None:
    """Print the version of Tailor."""
    click.echo(__version__)


tailor.add_command(run)


def main() -> None:
    """Run the command line."""
    tailor(prog_name="tailor")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _configure(conf_source: str | None) -> Path:
    """Tell Kedro which project this is, where its own command line has not; return the folder of the project."""
    if conf_source and (Path(conf_source) / "logging.yml").is_file():
        os.environ.setdefault(_LOGGING, str(Path(conf_source) / "logging.yml"))
    from kedro.framework import project  # noqa: PLC0415
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
    from kedro.utils import find_kedro_project  # noqa: PLC0415

    folder = find_kedro_project(Path.cwd())
    if project.PACKAGE_NAME is None:
        if folder is None:
            project.configure_project(str(__package__))
        else:
            bootstrap_project(folder)
    return Path(folder or Path.cwd())


if "kedro.framework.cli.cli" in sys.modules:  # Kedro imports this module for `cli`, before it asks its hooks
    from tailor.cli_hooks import join

    join()
