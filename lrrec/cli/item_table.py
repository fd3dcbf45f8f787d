"""Features of items from a table: the file of --item-features."""

import csv
from pathlib import Path
from typing import Any

from lrrec.cli.inputs import Source, reader
from lrrec.errors import ParameterError

MOST_VALUES = 2000  # of a column of text that become features


def read(path: Path | None, model: Any, source: Source) -> Any:
    """Read features of items from a CSV or Parquet file: a frame by item id, None without a file.

    Columns of numbers are features; a column of text is a feature for each of its values, of which an item may have
    several, with | between them.
    """
    if path is None:
        return None
    import pandas as pd

    from lrrec.models.base.feature_model import check_taken

    check_taken([model], path)
    if not path.exists():
        raise ParameterError(f"--item-features must be an existing file, got {str(path)!r}")
    is_parquet = reader(str(path)) == "from_parquet"
    table = pd.read_parquet(path) if is_parquet else _csv(path, source)
    if source.item not in table:
        raise ParameterError(f"--item-features must have the column {source.item!r}, got {', '.join(table.columns)}")
    table = table.set_index(source.item)
    if not len(table.columns):
        raise ParameterError(f"--item-features must have a column beside {source.item!r}, got none")
    return pd.concat([_features(column, name) for name, column in table.items()], axis=1)


def _csv(path: Path, source: Source) -> Any:
    """The columns of a CSV file, each all numbers or all text; ids are read as those of interactions are."""
    import pandas as pd

    from lrrec.data.id_columns import final_ids

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [line for line in csv.reader(file, delimiter=source.delimiter, strict=True) if line]
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise ParameterError(f"--item-features must be a CSV file in UTF-8 with a header, got: {error}") from None
    wrong = [line for line in lines if len(line) != len(header)]
    if wrong or len(set(header)) < len(header):
        fault = f"{len(wrong[0])} in {wrong[0]}" if wrong else "a name twice"
        raise ParameterError(
            f"--item-features must have distinct columns, and as many fields in every line: {len(header)}, got {fault}"
        )
    table = pd.DataFrame(lines, columns=header, dtype=object)
    for name, column in table.items():
        if name == source.item:
            table[name] = final_ids(column.to_numpy(dtype=object), name, as_written=True)
        else:
            numbers = pd.to_numeric(column, errors="coerce")
            if numbers.notna().all():
                table[name] = numbers
    return table


def _features(column: Any, name: Any) -> Any:
    """The features of a column: itself, or one for each of its texts."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        return column.astype("float32").to_frame()
    texts = column.fillna("").astype(str)
    n_values = texts.str.split("|").explode().nunique()
    if n_values > MOST_VALUES:
        raise ParameterError(
            f"--item-features must have columns of numbers or of at most {MOST_VALUES} different texts, got {n_values} "
            f"in {name!r}: leave the column out"
        )
    return texts.str.get_dummies("|").add_prefix(f"{name}=").astype("float32")
