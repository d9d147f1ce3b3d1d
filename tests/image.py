"""Images for the local model: a folder whose files lie over the machine's own in the containers of
the resource `postgresql-image`."""

import os
import pathlib
import shutil

PACKAGES = "usr/lib/python3/dist-packages"
# Patroni starts Python anew, which reads this file again.
PATRONI = """#!/usr/bin/python3
import sys
from patroni.__main__ import main
if __name__ == "__main__":
    sys.exit(main())
"""


def hide(folder):
    """Nothing of the machine's own folder shows through this one (overlayfs' word for it)."""
    os.setxattr(folder, "trusted.overlay.opaque", b"y")


def with_patroni(folder, packages):
    """An image with the Patroni that `pip install --no-deps --target PACKAGES` has put there; what
    Patroni needs is the machine's."""
    folder = pathlib.Path(folder)
    (folder / "usr/bin").mkdir(parents=True)
    shutil.copytree(pathlib.Path(packages) / "patroni", folder / PACKAGES / "patroni")
    hide(folder / PACKAGES / "patroni")
    program = folder / "usr/bin/patroni"
    program.write_text(PATRONI, encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path == program else 0o644)
    return str(folder)
