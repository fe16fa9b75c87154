"""Find Chromium, or unpack Debian's package of it below a folder, without root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
MISSING = (
    "NO_BROWSER: Chromium is not on PATH and cannot be fetched here; install it (Debian, Ubuntu: "
    "apt-get install chromium) or name it with CHROMIUM=path/of/the/program"
)


def find_chromium(
    folder: Path, named: str | None = None, *, fetch: bool = True
) -> tuple[Path, dict[str, str]]:
    """Return the program and what its environment needs besides.

    Parameters
    ----------
    folder : Path
        Where a fetched one is unpacked, and looked for.
    named : str, optional
        The program; else CHROMIUM, else what is on PATH.
    fetch : bool
        Whether the package may be fetched with apt-get.

    Raises
    ------
    SystemExit
        NO_BROWSER, with what to install.
    """
    named = named or os.environ.get("CHROMIUM")
    if named and not shutil.which(named):
        sys.exit(f"NO_BROWSER: CHROMIUM={named!r} is no program; name one that runs, or leave it out")
    installed = named or next(filter(None, map(shutil.which, NAMES)), None)
    if installed:
        return Path(shutil.which(installed)), {}
    program = folder / "usr" / "lib" / "chromium" / "chromium"
    if not program.is_file():
        if not fetch or not shutil.which("apt-get"):
            sys.exit(MISSING)
        _unpack(folder)
    return program, _environment(folder)


def _unpack(folder: Path) -> None:
    """Fetch the package and what of its dependencies this machine lacks; nothing is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ["apt-get", "--simulate", "--no-install-recommends", "install", "chromium", "fonts-dejavu-core"]
    planned = subprocess.run(wanted, capture_output=True, text=True, check=False)
    names = re.findall(r"^Inst (\S+) \(", planned.stdout, flags=re.M)
    done = subprocess.run(["apt-get", "download", *names], cwd=folder, check=False) if names else planned
    if done.returncode or not names:
        sys.exit(f"{MISSING}. apt-get knows no package chromium: apt-get update brings its list")
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg", "-x", package.name, "."], cwd=folder, check=True)
        package.unlink()


def _environment(folder: Path) -> dict[str, str]:
    """Return where the unpacked program finds its libraries and fonts."""
    libraries = sorted({str(path.parent) for path in folder.glob("usr/lib/**/*.so*")})
    libraries += sorted({str(path.parent) for path in folder.glob("lib/**/*.so*")})
    found = {"LD_LIBRARY_PATH": ":".join([*libraries, os.environ.get("LD_LIBRARY_PATH", "")]).strip(":")}
    if not Path("/etc/fonts/fonts.conf").is_file() and (folder / "etc" / "fonts").is_dir():
        found["FONTCONFIG_PATH"] = str(folder / "etc" / "fonts")
        found["XDG_DATA_DIRS"] = str(folder / "usr" / "share")
    return found
