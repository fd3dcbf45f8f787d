"""The command line: each command over the Python interface and nothing more.

lrrec's other modules are imported inside the commands: `lrrec --help` must answer at once.
"""

import sys
from typing import Annotated

import typer

from lrrec.cli import adapt_command, benchmark_command, data_commands, demo_command, model_commands

app = typer.Typer(
    name="lrrec", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="Low-rank recommenders: fit, evaluate honestly, recommend, adapt to new domains."
    "\n\nStart with [bold]lrrec demo[/bold].",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
app.add_typer(data_commands.app, name="data")
app.command(epilog="Example:  lrrec demo")(demo_command.demo)
app.command(epilog="Example:  lrrec fit ml-100k --min-rating 4 -p n_factors=32 --out movies.lrrec")(model_commands.fit)
app.command(epilog="Example:  lrrec evaluate ml-100k --min-rating 4 --model popularity --split by-user")(
    model_commands.evaluate
)
app.command(epilog="Example:  lrrec benchmark ml-100k --trials 20 --report ml-100k.html --out ml-100k")(
    benchmark_command.benchmark
)
app.command(epilog="Example:  lrrec adapt --base movies.lrrec --data market.csv --out market.adapter --histories")(
    adapt_command.adapt
)
app.command(epilog="Example:  lrrec recommend movies.lrrec --user 42 --user 7 -k 5")(model_commands.recommend)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _show_version(asked: bool) -> None:
    if asked:
        import lrrec

        typer.echo(lrrec.__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the command."""


def _say(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run the command line; an error that is the user's is one line, and the exit code is not 0."""
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app()
    except KeyboardInterrupt:
        _say("stopped")
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        from lrrec.errors import LrrecError

        known = isinstance(error, LrrecError | OSError)
        _say(f"Error: {error}" if known else f"Error: {type(error).__name__}: {error} (a bug? --debug shows where)")
        sys.exit(1)
