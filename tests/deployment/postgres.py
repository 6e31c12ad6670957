"""Start PostgreSQL in a folder, print its address, stay until killed: `python tests/deployment/postgres.py FOLDER`."""

import signal
import sys
from types import FrameType

import pgserver


def main(folder: str) -> None:
    """Start the server, and stop it when this process is told to end."""
    server = pgserver.get_server(folder)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.cleanup()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    print(server.get_uri().replace("postgresql://", "postgresql+psycopg://"), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
