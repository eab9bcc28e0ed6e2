"""What the checks share: the tree to look at, its files, and how to complain.

A check is called as `check-x [ROOT [BUILD]]`; without arguments it takes
ALM_SOURCE_DIR and ALM_BUILD_DIR, else the tree it stands in. Violations are
lines `file:line: what is wrong`; one or more make the check fail.
"""

import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIP = 77


def _directory(position, variable, default):
    if len(sys.argv) > position:
        return pathlib.Path(sys.argv[position]).resolve()
    return pathlib.Path(os.environ.get(variable) or default).resolve()


ROOT = _directory(1, "ALM_SOURCE_DIR", HERE.parent.parent)
BUILD = _directory(2, "ALM_BUILD_DIR", ROOT / "build")

_violations = []


def complain(path, line, message):
    path = pathlib.Path(path)
    if path.is_absolute() and path.is_relative_to(ROOT):
        path = path.relative_to(ROOT)
    _violations.append(f"{path}:{line}: {message}")


def finish(passed):
    """Print the violations, or `passed`, and leave."""
    for violation in _violations:
        print(violation)
    if _violations:
        print(f"{pathlib.Path(sys.argv[0]).name}: {len(_violations)} violations")
        sys.exit(1)
    print(passed)
    sys.exit(0)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def files(*folders, suffixes=None):
    """The files below the folders (or below the root), in order; `suffixes`
    is one or a tuple of them."""
    if isinstance(suffixes, str):
        suffixes = (suffixes,)
    for folder in folders or ("",):
        for directory, names, entries in os.walk(ROOT / folder):
            names[:] = sorted(
                name
                for name in names
                if name not in (".git", "build", "__pycache__", ".cache")
                and not name.startswith("build-")
            )
            for entry in sorted(entries):
                path = pathlib.Path(directory) / entry
                if suffixes is None or path.suffix in suffixes:
                    yield path


def text(path):
    return path.read_text(encoding="utf-8", errors="replace")


_TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
)


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code(source, keep_strings=False):
    """C source with comments, and unless kept the inside of strings, blanked;
    every character stays where it is."""

    def replace(match):
        if match.group()[0] == "/":
            return _blank(match)
        return match.group() if keep_strings else _blank(match)

    return _TOKEN.sub(replace, source)


def line_of(source, offset):
    return source.count("\n", 0, offset) + 1


_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.M)


def includes(path):
    """(line, quote, name) of each #include of a file."""
    source = code(text(path), keep_strings=True)
    for match in _INCLUDE.finditer(source):
        yield line_of(source, match.start()), match.group(1), match.group(2)
