"""The command line: each command calls the Python interface.

Modules that load numpy are imported inside the commands, so that `lrrec --help` is fast.
"""

import sys
from typing import Annotated

import typer

import lrrec
from lrrec.cli.adapt_command import adapt
from lrrec.cli.benchmark_command import benchmark
from lrrec.cli.data_commands import app as data_app
from lrrec.cli.demo_command import demo
from lrrec.cli.evaluate_command import evaluate
from lrrec.cli.fit_command import fit
from lrrec.cli.info_command import info
from lrrec.cli.recommend_command import recommend
from lrrec.cli.show import DOCUMENTATION
from lrrec.cli.warmup_command import warmup
from lrrec.errors import LrrecError

app = typer.Typer(
    name="lrrec", no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="Low-rank recommenders: fit, evaluate honestly, recommend, adapt to new domains."
    "\n\nStart with [bold]lrrec demo[/bold]; [bold]lrrec COMMAND --help[/bold] shows an example of each command.",
    epilog=DOCUMENTATION,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
app.add_typer(data_app, name="data")
app.command(epilog="Example:  lrrec demo")(demo)
app.command(epilog="Example:  lrrec fit ml-100k --min-rating 4 -p n_factors=32 --out movies.lrrec")(fit)
app.command(epilog="Example:  lrrec evaluate ml-100k --min-rating 4 --model popularity --split by-user")(evaluate)
app.command(epilog="Example:  lrrec benchmark ml-100k --trials 20 --report ml-100k.html --out ml-100k")(benchmark)
app.command(epilog="Example:  lrrec adapt --base movies.lrrec --data market.csv --out market.adapter --histories")(
    adapt
)
app.command(epilog="Example:  lrrec recommend movies.lrrec --user 42 --user 7 -k 5")(recommend)
app.command(epilog="Example:  lrrec info movies.lrrec")(info)
app.command(epilog="Example:  NUMBA_CACHE_DIR=/opt/numba lrrec warmup")(warmup)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _show_version(value: bool) -> None:
    if value:
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


def _print_error(line: str) -> None:
    typer.echo(line, err=True)


def main() -> None:
    """Run the command line; an error is one line on standard error, and the exit code is not 0."""
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        app()
    except KeyboardInterrupt:
        _print_error("stopped")
        sys.exit(130)
    except Exception as error:
        if debug:
            raise

        expected = isinstance(error, LrrecError | OSError)
        kind = "" if expected else f"{type(error).__name__}: "
        _print_error(f"Error: {kind}{error}{'' if expected else ' (a bug? --debug shows the traceback)'}")
        sys.exit(1)
