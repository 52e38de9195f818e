"""The oldest versions that pyproject.toml allows, in the place of what is installed: do tests pass?

`python -m tests.support.floors` installs them below build/floors and runs the tests of what uses
them. Torch and Ray are left as they are: PyPI has old ones for other machines only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from tests.support.paths import ROOT

LEFT_ALONE = {"abcparam", "ray", "tensorboard", "torch"}
REQUIREMENT = re.compile(r"(?P<name>[\w-]+)(\[\w+\])?(>=(?P<oldest>[\d.]+))?")
FOLDER = ROOT / "build" / "floors"
TESTS = """
tests/commands/test_gate.py tests/commands/test_light_install.py tests/editor/test_grammars.py
tests/language_server tests/presentation tests/symbolic tests/tuning/test_clusters.py
tests/tuning/test_shared_searches.py tests/tuning/test_studies.py
""".split()


def floors() -> Iterator[str]:
    """`name==version` for each requirement of the package and of its extras, but `dev`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [
        *project["dependencies"],
        *(r for name in extras if name != "dev" for r in extras[name]),
    ]
    for requirement in dict.fromkeys(named):
        parts = REQUIREMENT.fullmatch(requirement)
        assert parts, requirement
        if parts["name"] not in LEFT_ALONE:
            yield f"{parts['name']}=={parts['oldest']}"


def main() -> int:
    """The exit status of the tests."""
    wanted = list(floors())
    print("the oldest of", *wanted)
    install = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--no-deps"]
    subprocess.run([*install, "--target", str(FOLDER), *wanted], check=True)
    paths = os.pathsep.join([str(FOLDER), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        *TESTS,
    ]
    return subprocess.run(tests, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
