"""`python -m tailor.serving.server`: the FastAPI app on loopback."""

import argparse
import os
import sys
from pathlib import Path

from tailor.serving import workers
from tailor.serving.experiment import CHALLENGER
from tailor.serving.http import Limits
from tailor.serving.package import ENCODER_VARIABLE
from tailor.serving.workers import ServerOptions
from tailor.user_errors import reported


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, load the champion, serve until stopped; return the exit status."""
    with reported():
        return serve(arguments)


def serve(arguments: list[str] | None = None) -> int:
    """Load the champion and serve until stopped; return the exit status.

    Args:
        arguments: of the command line; None for those of the process.

    Raises:
        BadInputError: there is no such model, or it cannot be loaded.
    """
    parser = argparse.ArgumentParser(prog="python -m tailor.serving.server", description=__doc__)
    parser.add_argument("--model", default="tailor", help="name in the MLflow registry")
    parser.add_argument("--alias", default="champion", help="alias to follow")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; any but loopback needs TAILOR_TOKEN")
    parser.add_argument("--port", type=int, default=5071)
    parser.add_argument("--items", type=Path, help="database of added items (data/serving/<model>.db)")
    parser.add_argument("--hosts", help="names of this server beside loopback, by commas (TAILOR_HOSTS); * for any")
    parser.add_argument("--timeout", type=_positive, default=10.0, help="seconds before an answer is given up")
    parser.add_argument("--patience", type=_positive, default=10.0, help="seconds for a request's head, and its body")
    parser.add_argument("--poll", type=_positive, default=10.0, help="seconds between two looks at the alias")
    parser.add_argument(
        "--concurrency", type=_count, default=Limits.at_once, help="requests worked on side by side, of a process"
    )
    parser.add_argument(
        "--waiting", type=_count, default=Limits.waiting, help="requests that may wait, of a process; more are 503"
    )
    parser.add_argument("--connections", type=_count, default=4000, help="open connections; the idle ones go first")
    parser.add_argument(
        "--workers", type=_count, default=1, help="processes that answer; they share the model's arrays"
    )
    known = ["tuned", "static"]
    parser.add_argument("--encoder", choices=known, help="of words: the tuned one, or its token table without torch")
    parser.add_argument(
        "--experiment", default="", help="name of a test of the challenger; another one deals users anew"
    )
    parser.add_argument("--challenger-share", type=_share, help="share of the users who get the challenger, in (0, 1)")
    parser.add_argument("--challenger", default=CHALLENGER, help="alias of the challenger")
    parser.add_argument("--log-exposures", action="store_true", help="store what is listed, before it is answered")
    args = parser.parse_args(arguments)
    if bool(args.experiment) != (args.challenger_share is not None):
        parser.error("--experiment and --challenger-share go together: a test needs a name and a share of the users")
    if args.encoder:
        os.environ[ENCODER_VARIABLE] = args.encoder
    # Requests run side by side; threads within one would wait for each other. Torch reads this when words first come.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if args.host not in ("127.0.0.1", "localhost", "::1") and not os.environ.get("TAILOR_TOKEN", ""):
        parser.error(f"--host {args.host} is reachable from elsewhere: set TAILOR_TOKEN first")
    options = ServerOptions(
        model=args.model,
        alias=args.alias,
        items=args.items or Path("data/serving") / f"{args.model}.json",
        host=args.host,
        port=args.port,
        hosts=tuple(_hosts(args)),
        limits=Limits(args.concurrency, args.waiting, args.timeout, args.patience),
        poll_s=args.poll,
        connections=args.connections,
        workers=args.workers,
        experiment=args.experiment,
        challenger_share=args.challenger_share or 0.0,
        challenger=args.challenger,
        log_exposures=args.log_exposures,
    )
    return workers.run(options)


def _hosts(args: argparse.Namespace) -> list[str]:
    """Return the names that the server answers to, beside those of loopback."""
    named = args.hosts if args.hosts is not None else os.environ.get("TAILOR_HOSTS", "")
    address = [] if args.host in ("0.0.0.0", "::") else [args.host]  # noqa: S104  (compared, not bound)
    return [*address, *(name.strip() for name in named.split(",") if name.strip())]


def _share(text: str) -> float:
    """Read a number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def _positive(text: str) -> float:
    """Read a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    """Read a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
