"""lrrec recommend."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import lrrec
from lrrec.cli import feature_table
from lrrec.cli import options as opt
from lrrec.cli.inputs import Source, as_one, check_out
from lrrec.errors import DataError, ParameterError, UnknownIdError


def recommend(
    model: Annotated[
        Path, typer.Argument(help="A model saved by [bold]lrrec fit[/bold], or an adapter by [bold]lrrec adapt[/bold].")
    ],
    base: Annotated[
        list[Path] | None,
        typer.Option("--base", "-b", help="An adapter's base model; several in their order.", show_default=False),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            "-u",
            help="Id of a user; may be repeated. All users with an interaction without it.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also recommend items that the user has interacted with.")
    ] = False,
    popular: Annotated[
        bool,
        typer.Option(
            "--popular",
            help="Recommend popular items to users without an interaction, instead of leaving them out or an error.",
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the items of the history that raise the score most, at most three.")
    ] = False,
    new_items: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet file like that of --item-features in [bold]lrrec fit[/bold]: items of it that the "
            "model lacks are recommended too.",
            show_default=False,
        ),
    ] = None,
    user_features: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet file like that of [bold]lrrec fit[/bold]: recommend to its users, by their features "
            "alone.",
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            help="CSV, Parquet or JSON lines file of users and items: a user's items of it are not recommended.",
            show_default=False,
        ),
    ] = None,
    user_column: opt.UserColumn = "user",
    item_column: opt.ItemColumn = "item",
    delimiter: opt.Delimiter = ",",
    read: opt.Read = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="CSV file to write; standard output without it.", show_default=False),
    ] = None,
) -> None:
    """Recommend items with a saved model, as CSV: user, item, rank, score."""
    check_out(out)
    if user_features is not None and (user or explain):
        raise ParameterError("--user-features must be without --user and --explain, got both")
    fitted = lrrec.load(model, base=as_one([lrrec.load(path) for path in base])) if base else lrrec.load(model)
    if new_items is not None:
        fitted = _with_new_items(fitted, new_items, delimiter)
    if not len(fitted.users_) and user_features is None and not (user and popular and include_seen):
        raise DataError(
            f"{model} has no users to recommend to: make it with them (lrrec adapt --histories), or recommend popular "
            "items by --user, --popular and --include-seen"
        )
    users: Any = user or None
    if user and len(fitted.users_) and fitted.users_.ids.dtype != object:
        try:
            users = [int(text.replace("_", "x")) for text in user]
        except ValueError:
            raise UnknownIdError(
                f"--user must be an integer, as the model's user ids are, got {', '.join(user)}"
            ) from None
    options: dict[str, Any] = {"unknown": "popular" if popular else "raise"}
    if exclude is not None:
        pairs = Source(str(exclude), None, None, user_column, item_column, None, None, delimiter, read).interactions()
        options |= {"exclude": _items_of(pairs, fitted), "unknown_items": "ignore"}
    try:
        if user_features is not None:
            described = _described(fitted, "user_feature_encoder_", user_features, "--user-features", delimiter)
            lists = fitted.recommend_from(None, k, user_features=described, **options)
        else:
            lists = fitted.recommend(users, k, exclude_seen=not include_seen, **options)
    except UnknownIdError as error:
        hint = "add --popular to recommend popular items to them" if error.hint else ""
        raise UnknownIdError(error.message, hint=hint) from None
    table = lists.to_frame()
    if explain:
        table["because"] = [_because(fitted, user, item) for user, item in zip(table.user, table["item"], strict=True)]
    table.to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        typer.echo(f"recommended to {len(lists):,} users, in {out}")
    left_out = len(fitted.users_) - len(lists) if users is None and user_features is None else 0
    if left_out:
        typer.echo(f"{left_out:,} users of the model without an interaction are left out: add --popular", err=True)


def _items_of(pairs: Any, model: Any) -> dict[Any, list[Any]]:
    """The items of each user, with ids as the model has them: text, even if a file has integers alone."""
    from lrrec.validate import first_three

    table = pairs.to_frame()
    for name, ids, known in (("user", pairs.users, model.users_), ("item", pairs.items, model.items_)):
        if len(known) and known.ids.dtype == object:
            table[name] = table[name].map(str)
        elif len(known) and ids.ids.dtype == object:
            raise DataError(f"{name}s of --exclude must be integers, as those of the model are, got {first_three(ids)}")
    return {user: list(items) for user, items in table.groupby("user")["item"]}


def _with_new_items(model: Any, path: Path, delimiter: str) -> Any:
    """The model with the items of a table that it lacks."""
    features = _described(model, "feature_encoder_", path, "--new-items", delimiter)
    new = features.ids.ids[model.items_.find(features.ids.ids) < 0]
    return model.with_items(new, features.select(new)) if len(new) else model


def _described(model: Any, encoder_name: str, path: Path, option: str, delimiter: str) -> Any:
    """The features of a table, by the encoder that the model was fitted with."""
    encoder = getattr(model, encoder_name, None)
    if encoder is None:
        fitted_by = {"--new-items": "--item-features"}.get(option, option)
        raise ParameterError(f"{option} must be for a model that was fitted by lrrec fit {fitted_by}, got {model!r}")
    return encoder.transform(feature_table.read_table(path, option, encoder.id, delimiter))


def _because(model: Any, user: Any, item: Any) -> str:
    """The items that raise a score most; empty for a user without a history."""
    if user not in model.users_:
        return ""
    explanation = model.explain(user, item)
    return " ".join(map(str, explanation.items[explanation.contributions > 0][:3]))
