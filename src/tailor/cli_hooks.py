"""What Kedro's own command line asks before a command: `kedro viz`, `catalog`, `registry`, `ipython` and so on.

:mod:`tailor.cli` takes over `kedro run`; every other command is Kedro's or a plug-in's. Their errors reach the user as
one sentence too, and those that start other processes (a server, a shell) have their configuration checked first.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kedro.config import OmegaConfigLoader
from kedro.framework.cli.hooks import cli_hook_impl, get_cli_hook_manager
from kedro.framework.cli.utils import _split_params

from tailor.environment import LOADER_ARGS, check_configuration, check_environment
from tailor.user_errors import VERBOSE, reported, sentence_of, verbose

#: Commands that hand the configuration to another process, whose errors nobody sees in time.
_OTHER_PROCESS = ("viz", "ipython", "jupyter")
_HELP = {"--help", "-h"}


class CommandHooks:
    """Asked by Kedro before every command of a project."""

    @cli_hook_impl
    def before_command_run(self, project_metadata: Any, command_args: list[str]) -> None:
        """Check what another process would stumble over; let what a user did wrong end in one line.

        Raises:
            SystemExit: after the line was printed.
        """
        if getattr(project_metadata, "package_name", None) != __package__:
            return
        command = next((word for word in command_args if not word.startswith("-")), "")
        before = command_args[: command_args.index(command)] if command else command_args
        if {"--verbose", "-v"} & set(before) or (command == "run" and "--verbose" in command_args):
            os.environ[VERBOSE] = "1"
        say_in_one_line()
        if command in _OTHER_PROCESS and not _HELP & set(command_args):
            with reported():
                check_command(Path(project_metadata.project_path), command_args)


def check_command(project: Path, words: Sequence[str]) -> None:
    """Refuse an environment or a parameter that does not exist.

    Args:
        project: its folder.
        words: of the command line; --env, --params and --load-file count.

    Raises:
        ConfigurationError: naming the environment or parameter, and what exists.
    """
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--env", "-e", default=os.environ.get("KEDRO_ENV"))
    options.add_argument("--params", default="")
    options.add_argument("--load-file")
    given, _ = options.parse_known_args(list(words))
    if given.load_file:
        return  # kedro-viz shows a file, no project
    params = _split_params(None, None, given.params)  # type: ignore[arg-type]  # neither is read
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # what OmegaConf will call otherwise
        loader = OmegaConfigLoader(str(project / "conf"), env=given.env, runtime_params=params, **LOADER_ARGS)
        check_environment(loader, given.env)
        check_configuration(loader["parameters"])


def say_in_one_line() -> None:
    """Print what a user did wrong as one line where nothing else catches it; the exit status stays 1."""
    before = sys.excepthook

    def say(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sentence = None if verbose() else sentence_of(error)
        if sentence is None:
            before(kind, error, traceback)
        else:
            print(sentence, file=sys.stderr)

    sys.excepthook = say


def join() -> None:
    """Let Kedro's command line, which is running, ask these hooks; once."""
    manager = get_cli_hook_manager()
    if not any(isinstance(known, CommandHooks) for known in manager.get_plugins()):
        manager.register(CommandHooks())
