"""Features from a table: the files of --item-features, --user-features and --new-items."""

import csv
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrrec.cli.inputs import Source, reader
from lrrec.errors import ParameterError

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions


@dataclass
class FeatureTables:
    """The features that a command was given, as `Features` or None."""

    of_items: Any = None
    of_users: Any = None

    @classmethod
    def read(
        cls, model: Any, source: Source, item_path: Path | None, user_path: Path | None, kinds: list[str] | None
    ) -> "FeatureTables":
        """Read the tables of --item-features and --user-features for a model that takes them."""
        from lrrec.models.base.feature_model import check_taken

        check_taken([model], item_path, user_path)
        of_items = read(item_path, "--item-features", source.item, source.delimiter, kinds)
        of_users = read(user_path, "--user-features", source.user, source.delimiter, kinds)
        check_named(kinds, of_items, of_users)
        return cls(of_items, of_users)

    def fit(self, model: Any, interactions: "Interactions") -> Any:
        """Fit, with a progress bar where the model has one; ids without a row have no features, with a warning."""
        from lrrec.validate import first_three, warn

        takes = inspect.signature(model.fit).parameters
        options: dict[str, Any] = {"progress": True} if "progress" in takes else {}
        tables = (("item", self.of_items, interactions.items), ("user", self.of_users, interactions.users))
        for unit, features, ids in tables:
            if features is None:
                continue
            same_kind = features.ids.ids.dtype == ids.ids.dtype
            n_missing = int((features.ids.find(ids.ids) < 0).sum()) if same_kind else len(ids)
            if n_missing == len(ids):
                raise ParameterError(
                    f"--{unit}-features must have rows for the {unit}s of the data, got none: its ids are like "
                    f"{first_three(features.ids)}, the data's like {first_three(ids)}"
                )
            if n_missing:
                warn(f"{n_missing:,} of {len(ids):,} {unit}s have no row in --{unit}-features: no features")
            options[f"{unit}_features"] = features.reindex(ids)
        return model.fit(interactions, **options)


def read(path: Path | None, option: str, id_column: str, delimiter: str, kinds: list[str] | None = None) -> Any:
    """Return the features of a CSV or Parquet file's rows, by the kinds "COLUMN=KIND" or guessed; None without a file.

    A kind is a name of `lrrec.features` in lower case, or "none" for a column to leave out.
    """
    if path is None:
        return None
    from lrrec.data.frames import eager
    from lrrec.features import FeatureEncoder
    from lrrec.features.feature_encoder import KINDS, guess_columns

    table = read_table(path, option, id_column, delimiter)
    chosen = {}
    for text in kinds or []:
        name, _, kind = text.rpartition("=")
        if kind not in (*KINDS, "none") or not name:
            raise ParameterError(
                f"--feature must be COLUMN=KIND with KIND one of {', '.join(KINDS)}, none, got {text!r}"
            )
        if name in table:
            chosen[name] = kind
    named = {name: kind for name, kind in chosen.items() if kind != "none"}
    columns = guess_columns(eager(table.drop(columns=list(chosen))), id_column) | named
    if not columns:
        raise ParameterError(f"{option} must have a column beside {id_column!r}, got none")
    return FeatureEncoder({name: columns[name] for name in table if name in columns}, id=id_column).fit_transform(table)


def read_table(path: Path, option: str, id_column: str, delimiter: str) -> Any:
    """Return a CSV or Parquet file as a pandas frame that has the column of ids."""
    import pandas as pd

    if not path.exists():
        raise ParameterError(f"{option} must be an existing file, got {str(path)!r}")
    is_parquet = reader(str(path)) == "from_parquet"
    table = pd.read_parquet(path) if is_parquet else _csv(path, option, id_column, delimiter)
    if id_column not in table:
        raise ParameterError(f"{option} must have the column {id_column!r}, got {', '.join(table.columns)}")
    return table


def check_named(kinds: list[str] | None, *tables: Any) -> None:
    """Refuse kinds of columns that no table has."""
    columns = {name for features in tables if features is not None for name in features.encoder.columns_}
    for text in kinds or []:
        name, _, kind = text.rpartition("=")
        if kind != "none" and name not in columns:
            raise ParameterError(f"--feature must name a column of --item-features or --user-features, got {name!r}")


def _csv(path: Path, option: str, id_column: str, delimiter: str) -> Any:
    """The columns of a CSV file, each all numbers or all text; ids are read as those of interactions are."""
    import pandas as pd

    from lrrec.data.id_columns import final_ids

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *lines = [line for line in csv.reader(file, delimiter=delimiter, strict=True) if line]
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise ParameterError(f"{option} must be a CSV file in UTF-8 with a header, got: {error}") from None
    wrong = [line for line in lines if len(line) != len(header)]
    if wrong or len(set(header)) < len(header):
        fault = f"{len(wrong[0])} in {wrong[0]}" if wrong else "a name twice"
        raise ParameterError(
            f"{option} must have distinct columns, and as many fields in every line: {len(header)}, got {fault}"
        )
    table = pd.DataFrame(lines, columns=header, dtype=object)
    for name, column in table.items():
        if name == id_column:
            table[name] = final_ids(column.to_numpy(dtype=object), name, as_written=True)
        else:
            numbers = pd.to_numeric(column.where(column.str.strip() != "", None), errors="coerce")
            if (numbers.notna() == (column.str.strip() != "")).all() and numbers.notna().any():
                table[name] = numbers
    return table
