"""The commands of docs/how-to/command-line.md work, and print what is shown."""

import contextlib
import io
import re
import shlex
import sys

import pytest
from test_readme import differences

from benchmarks.report import ROOT
from lrrec import cli

PAGE = ROOT / "docs" / "how-to" / "command-line.md"
NOT_HERE = ("xmarket", "--install-completion", "--show-completion", "|")  # the network, the shell


def printed(line):
    """What a command prints."""
    before, output = sys.argv, io.StringIO()
    sys.argv = shlex.split(line, comments=True)
    try:
        with contextlib.redirect_stdout(output):
            cli.main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{line}: exit code {end.code}") from None
    finally:
        sys.argv = before
    return output.getvalue()


def with_outputs(text):
    """The page with what its commands print, in blocks right after theirs."""

    def run(match):
        language, code, shown = match.groups()
        if language == "python":
            exec(code, {})
            return match[0]
        lines = code.replace("\\\n", " ").splitlines()
        output = "".join(printed(line) for line in lines if not any(word in line for word in NOT_HERE))
        output = re.sub(r"(fingerprint[^:]*: )[0-9a-f]{16}", r"\1…", output)  # other processors round differently
        output = "\n".join(line.rstrip() for line in output.splitlines())
        return f"```sh\n{code}```\n" + (f"\n```text\n{output}\n```\n" if shown else "")

    return re.sub(r"```(python|sh)\n(.*?)```\n(\n```text\n.*?```\n)?", run, text, flags=re.DOTALL)


@pytest.mark.slow
def test_commands_print_what_is_shown(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    text = PAGE.read_text()
    assert not differences(with_outputs(text), text)
