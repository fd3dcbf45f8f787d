"""The worked examples of CONTRIBUTING.md, as the files and lines that they say."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


def code(path):
    """The contents of the file that a block shows: its first line is the path."""
    (block,) = re.findall(rf"```python\n# {re.escape(path)}\n(.*?)```", TEXT, flags=re.DOTALL)
    return block


def added_lines(path):
    """The lines that a block adds to a file, below the line with its path."""
    (lines,) = re.findall(rf"^  {re.escape(path)}[^\n]*:\n((?:\+[^\n]*\n)+)", TEXT, flags=re.MULTILINE)
    return re.sub(r"^\+ ?", "", lines, flags=re.MULTILINE)
