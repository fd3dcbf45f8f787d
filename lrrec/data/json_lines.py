"""JSON lines: files with an object for each interaction."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data.csv_blocks import open_path
from lrrec.data.frames import brief
from lrrec.data.ids import as_ids
from lrrec.data.tables import IDS, Reading, joined
from lrrec.errors import DataError, LrrecError
from lrrec.validate import as_path, first_three

LINES = 2**16  # that are held as objects of Python at a time
TYPES = {"user": {int, str}, "item": {int, str}, "value": {int, float}, "time": {int, float, str}}
ID = "an integer or text"
WHAT = {"user": ID, "item": ID, "value": "a number", "time": "a number or text of a date"}


def read_json_lines(source: Any, roles: Mapping[str, str], reading: Reading) -> pd.DataFrame:
    """Return the columns of the roles: ids as integers or categories of text, values and times as they are.

    source: a path, compressed or not, or an open file, of bytes or of text.
    """
    name = str(getattr(source, "name", "the file")) if hasattr(source, "read") else str(source)
    try:
        with ExitStack() as stack:
            file = source if hasattr(source, "read") else stack.enter_context(open_path(as_path(source).expanduser()))
            blocks = (
                _complete(records, roles) if reading.drops_missing else records for records in _blocks(file, name)
            )
            parts = [_columns(records, roles, name) for records in blocks if records]
    except LrrecError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name!r} does not exist: path must be a file of JSON lines") from None
    except Exception as error:  # of the library that reads a compressed file, of text that is not UTF-8
        raise DataError(f"{name} must be a file of JSON lines in UTF-8: {brief(error)}") from None
    if not parts:
        raise DataError(f"{name} must have at least one row, got none")
    return pd.DataFrame({column: joined([part[column] for part in parts], column) for column in roles.values()})


def _blocks(file: Any, name: str) -> Iterator[list[tuple[int, Any]]]:
    """Yield objects with the numbers of their lines, some at a time; blank lines are left out."""
    lines = enumerate(file, start=1)
    while block := list(islice(lines, LINES)):
        numbers, texts = [], []
        for number, line in block:
            if line := line.strip():
                numbers.append(number)
                texts.append(line)
        if texts:
            yield list(zip(numbers, _objects(texts, numbers, name), strict=True))


def _objects(texts: list[Any], numbers: list[int], name: str) -> list[Any]:
    """What lines hold, of bytes or of text."""
    try:
        whole: Any = b"[%s]" % b",".join(texts) if isinstance(texts[0], bytes) else f"[{','.join(texts)}]"
        objects = json.loads(whole)  # faster than line by line
        if len(objects) == len(texts):
            return list(objects)
    except (ValueError, RecursionError):  # the wrong line is looked for below
        pass
    objects = []
    for number, text in zip(numbers, texts, strict=True):
        try:
            objects.append(json.loads(text))
        except (ValueError, RecursionError) as error:
            shown = text[:100] if isinstance(text, str) else text[:100].decode(errors="replace")
            raise DataError(f"{name}, line {number} must be a JSON object, got {shown!r}: {error}") from None
    return objects


def _complete(records: list[tuple[int, Any]], roles: Mapping[str, str]) -> list[tuple[int, Any]]:
    """Records without those that lack a field; what is no object stays, and is refused."""
    return [
        (number, record)
        for number, record in records
        if not isinstance(record, dict) or all(record.get(column) is not None for column in roles.values())
    ]


def _columns(records: list[tuple[int, Any]], roles: Mapping[str, str], name: str) -> dict[str, pd.Series]:
    """The values of some records, by column."""
    for number, record in records:
        if not isinstance(record, dict):
            raise DataError(f"{name}, line {number} must be a JSON object, got {record!r}")
        absent = [column for column in roles.values() if record.get(column) is None]
        if absent:
            wanted = first_three(roles.values())
            raise DataError(
                f"{name}, line {number} must have the fields {wanted}, got no {first_three(absent)}: pass "
                "missing='drop' to leave such lines out"
            )
    return {column: _column(records, column, role, name) for role, column in roles.items()}


def _column(records: list[tuple[int, Any]], column: str, role: str, name: str) -> pd.Series:
    """One field of some records: integers, numbers, or text; that of ids as categories."""
    values = [record[column] for _, record in records]
    types, allowed = set(map(type, values)), TYPES[role]
    if not types <= allowed:
        number, wrong = next(
            (number, record[column]) for number, record in records if type(record[column]) not in allowed
        )
        raise DataError(f"{name}, line {number}: {column} ({role}) must be {WHAT[role]}, got {wrong!r}")
    if role in IDS:
        if types == {int}:
            return pd.Series(as_ids(values, f"field {column!r}"))
        return pd.Series(list(map(str, values)), dtype=object).astype("category")
    if str in types and len(types) > 1:
        raise DataError(f"{name}: {column} ({role}) must hold all numbers or all text, got both")
    return (
        pd.Series(values, dtype=object)
        if str in types
        else pd.Series(np.array(values, dtype=np.float64 if float in types else None))
    )
