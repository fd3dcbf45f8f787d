"""lrrec recommend."""

import sys
from dataclasses import replace
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
    history: Annotated[
        Path | None,
        typer.Option(
            help="File like that of --exclude: recommend to its users, from their histories in it, whether or not the "
            "model knows them.",
            show_default=False,
        ),
    ] = None,
    min_rating: opt.MinRating = None,
    user_column: opt.UserColumn = "user",
    item_column: opt.ItemColumn = "item",
    value_column: opt.ValueColumn = None,
    delimiter: opt.Delimiter = ",",
    read: opt.Read = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="CSV file to write; standard output without it.", show_default=False),
    ] = None,
) -> None:
    """Recommend items with a saved model, as CSV: user, item, rank, score."""
    check_out(out)
    if (user_features is not None or history is not None) and (user or explain):
        raise ParameterError("--user-features and --history must be without --user and --explain, got both")
    fitted = lrrec.load(model, base=as_one([lrrec.load(path) for path in base])) if base else lrrec.load(model)
    if new_items is not None:
        fitted = _with_new_items(fitted, new_items, delimiter)
    described = None
    if user_features is not None:
        described = _described(fitted, "user_feature_encoder_", user_features, "--user-features", delimiter)
    template = Source("", None, None, user_column, item_column, None, None, delimiter, read)
    histories = None
    if history is not None:
        source = replace(template, data=str(history), value=value_column, min_rating=min_rating)
        histories = _as_known(source.interactions(), "--history", fitted.items_)
    options: dict[str, Any] = {"unknown": "popular" if popular else "raise", "exclude_seen": not include_seen}
    served = fitted.users_ if described is None else described.ids
    served = served if histories is None else histories.users
    if exclude is not None:
        pairs = _as_known(replace(template, data=str(exclude)).interactions(), "--exclude", fitted.items_, served)
        options |= {"exclude": _items_of(pairs), "unknown_items": "ignore"}
    try:
        if histories is not None or described is not None:
            whom = histories.users.ids if histories is not None and popular else None
            lists = fitted.recommend_from(histories, k, users=whom, user_features=described, **options)
        else:
            _check_has_users(fitted, model, can_fill=bool(user and popular and include_seen))
            lists = fitted.recommend(_users(fitted, user), k, **options)
    except UnknownIdError as error:
        hint = "add --popular to recommend popular items to them" if error.hint else ""
        raise UnknownIdError(error.message, hint=hint) from None
    table = lists.to_frame()
    if explain:
        table["because"] = [_because(fitted, user, item) for user, item in zip(table.user, table["item"], strict=True)]
    table.to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        typer.echo(f"recommended to {len(lists):,} users, in {out}")
    left_out = len(served) - len(lists) if not user and described is None else 0
    if left_out:
        typer.echo(f"{left_out:,} users without an interaction are left out: add --popular", err=True)


def _check_has_users(model: Any, path: Path, *, can_fill: bool) -> None:
    if not len(model.users_) and not can_fill:
        raise DataError(
            f"{path} has no users to recommend to: make it with them (lrrec adapt --histories), pass theirs by "
            "--history, or recommend popular items by --user, --popular and --include-seen"
        )


def _users(model: Any, users: list[str] | None) -> list[Any] | None:
    """The ids of --user, as the model has them; None for all."""
    if not users or not len(model.users_) or model.users_.ids.dtype == object:
        return users or None
    try:
        return [int(text.replace("_", "x")) for text in users]
    except ValueError:
        raise UnknownIdError(
            f"--user must be an integer, as the model's user ids are, got {', '.join(users)}"
        ) from None


def _as_known(pairs: Any, option: str, items: Any, users: Any = None) -> Any:
    """Interactions with ids of the kind of these maps: text, even if a file has integers alone."""
    from lrrec.validate import first_three

    def as_in(ids: Any, known: Any, unit: str) -> Any:
        if not len(known) or (ids.ids.dtype == object) == (known.ids.dtype == object):
            return ids
        if ids.ids.dtype == object:
            raise DataError(f"{unit}s of {option} must be integers, as the others are, got {first_three(ids)}")
        return lrrec.IdMap(list(map(str, ids)))

    own_users = pairs.users if users is None else as_in(pairs.users, users, "user")
    return lrrec.Interactions(pairs.matrix, own_users, as_in(pairs.items, items, "item"))


def _items_of(pairs: Any) -> dict[Any, list[Any]]:
    """The items of each user."""
    return {user: list(items) for user, items in pairs.to_frame().groupby("user")["item"]}


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
