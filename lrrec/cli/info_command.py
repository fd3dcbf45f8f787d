"""lrrec info."""

from pathlib import Path
from typing import Annotated, Any

import typer


def info(
    file: Annotated[Path, typer.Argument(help="A model or an adapter saved by lrrec.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read all of the file, and check its checksum.")] = False,
) -> None:
    """Show what a saved model or adapter is: its header, with parameters, fingerprint and arrays; nothing is loaded."""
    from lrrec import file_format, files

    with files.opened(file) as (contents, header):
        file_format.map_arrays(contents, header, str(file), verify=verify)
    kind, params = files.kind_and_params(header, str(file))
    facts: dict[str, Any] = {
        "kind": kind,
        "format": header.strings["format"],
        "bytes": f"{header.n_bytes:,}",
        "checksum": "right" if verify else "of the header right, of the arrays not read: add --verify",
        "users' histories": "yes" if "seen_.shape" in header.places else "no",
    }
    if "adapter" in params:
        facts |= {"fingerprint of the base": params.get("fingerprint"), "verdict": params.get("verdict")}
        params = params["adapter"]
    else:
        facts["fingerprint"] = header.strings.get("fingerprint")
    facts["parameters"] = ", ".join(f"{name}={value!r}" for name, value in params.items())
    for name, fact in facts.items():
        typer.echo(f"{name}: {fact}")
    for name, place in header.places.items():
        shape = " x ".join(f"{n:,}" for n in place.shape)
        typer.echo(f"{name:24} {place.dtype!s:8} {shape:22} {place.end - place.begin:>16,} bytes")
