"""lrrec recommend."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import lrrec
from lrrec.cli import feature_table
from lrrec.cli import options as opt
from lrrec.cli.inputs import as_one, check_out
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
        typer.Option("--user", "-u", help="Id of a user; may be repeated. All users without it.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Also recommend items that the user has interacted with.")
    ] = False,
    popular: Annotated[
        bool, typer.Option("--popular", help="Recommend popular items to unknown users, instead of an error.")
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
    delimiter: opt.Delimiter = ",",
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
    try:
        if user_features is not None:
            described = _described(fitted, "user_feature_encoder_", user_features, "--user-features", delimiter)
            lists = fitted.recommend_from(None, k, user_features=described, unknown="popular" if popular else "raise")
        else:
            lists = fitted.recommend(users, k, exclude_seen=not include_seen, unknown="popular" if popular else "raise")
    except UnknownIdError as error:
        hint = "add --popular to recommend popular items to them" if error.hint else ""
        raise UnknownIdError(error.message, hint=hint) from None
    table = lists.to_frame()
    if explain:
        table["because"] = [_because(fitted, user, item) for user, item in zip(table.user, table["item"], strict=True)]
    table.to_csv(sys.stdout if out is None else out, index=False)
    if out is not None:
        typer.echo(f"recommended to {len(lists):,} users, in {out}")


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
