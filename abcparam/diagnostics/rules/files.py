"""Files that cannot be written (P09xx)."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import DiagnosticRule


class CannotWrite(DiagnosticRule):
    """The output cannot be written: the folder is missing, or not writable, or the disk is full.

    Files are written beside their place and moved into it, so a failed write leaves what was there.
    """

    code = "P0901"
    message = "cannot write `{path}`: {problem}"
    help = "choose another place with `-o OUT`; nothing was written"


NOT_WRITTEN = "was not written by abcparam"
EDITED = "was edited since abcparam wrote it"


class NotOurs(DiagnosticRule):
    """`compile`, `adapt` or `import` would overwrite a file of somebody else's, or edits of it.

    What it writes says so in its first lines, and ends with a digest of them all, which an edited
    file no longer fits. To replace such a file all the same, say `--force`.
    """

    code = "P0902"
    message = "`{path}` exists and {state}"
    help = "choose another place with `-o OUT`, or overwrite it with `--force`"


class NoPictures(DiagnosticRule):
    """Pictures are drawn by matplotlib, which only those need who draw.

    Data can be had without it: `--format json`.
    """

    code = "P0903"
    message = "nothing can be drawn: matplotlib is not installed"
    help = "install it (`pip install 'abcparam[plot]'`), or take data with `--format json`"


class IsRead(DiagnosticRule):
    """What a command writes would replace a file that it reads: a spec, a model's code, a text.

    It is refused before anything is read, with `--force` too.
    """

    code = "P0904"
    message = "`{path}` is what this command reads, and would be replaced by what it writes"
    help = "choose another place to write to; nothing was written"


class PathAsText(DiagnosticRule):
    """A function was given the path of a spec as a text; a text is the spec itself.

    abcparam.check("model.param")           wrong
    abcparam.check(Path("model.param"))     right
    """

    code = "P0905"
    message = "`{path}` is the path of a spec, not its text"
    help = 'give it as one: `Path("{path}")`, of `from pathlib import Path`'
