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
        cls, models: list[Any], source: Source, item_path: Path | None, user_path: Path | None, kinds: list[str] | None
    ) -> "FeatureTables":
        """Read the tables of --item-features and --user-features for models of which some take them."""
        from lrrec.models.base.feature_model import check_taken

        check_taken(models, item_path, user_path)
        tables = [(item_path, "--item-features", source.item), (user_path, "--user-features", source.user)]
        return cls(*read(tables, source.delimiter, kinds))

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
            if f"{unit}_features" in takes:
                options[f"{unit}_features"] = features.reindex(ids)
        return model.fit(interactions, **options)


def read(tables: list[tuple[Path | None, str, str]], delimiter: str, kinds: list[str] | None) -> list[Any]:
    """Return the features of each table (path, option, column of ids); None where there is no path.

    kinds: "COLUMN=KIND", with a name of `lrrec.features` in lower case, or "none" for a column to leave out; those of
    other columns are guessed.
    """
    from lrrec.features.feature_encoder import KINDS

    chosen: dict[str, str] = {}
    for text in kinds or []:
        name, _, kind = text.rpartition("=")
        if kind not in (*KINDS, "none") or not name:
            raise ParameterError(
                f"--feature must be COLUMN=KIND with KIND one of {', '.join(KINDS)}, none, got {text!r}"
            )
        chosen[name] = kind
    frames = [
        None if path is None else read_table(path, option, id_column, delimiter) for path, option, id_column in tables
    ]
    options = " or ".join(option for _, option, _ in tables)
    for name in chosen:
        if not any(frame is not None and name in frame for frame in frames):
            raise ParameterError(f"--feature must name a column of {options}, got {name!r}")
    return [
        None if frame is None else _encoded(frame, option, id_column, chosen)
        for frame, (_, option, id_column) in zip(frames, tables, strict=True)
    ]


def _encoded(table: Any, option: str, id_column: str, chosen: dict[str, str]) -> Any:
    """The features of a table, by the kinds that were chosen for some of its columns."""
    from lrrec.data.frames import eager
    from lrrec.features import FeatureEncoder
    from lrrec.features.feature_encoder import guess_columns

    guessed = guess_columns(eager(table.drop(columns=[name for name in chosen if name in table])), id_column)
    named = {name: kind for name, kind in chosen.items() if kind != "none"}
    columns = {name: (guessed | named)[name] for name in table if name in guessed or name in named}
    if not columns:
        raise ParameterError(f"{option} must have a column beside {id_column!r}, got none")
    return FeatureEncoder(columns, id=id_column).fit_transform(table)


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
            given = column.str.strip() != ""
            numbers = pd.to_numeric(column.where(given, None), errors="coerce")
            if given.any() and (numbers.notna() == given).all():
                table[name] = numbers
    return table
