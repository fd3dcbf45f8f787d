"""Check what is released: build sdist and wheel, look into both, install the wheel alone, and use it.

    python tests/dist_check.py [PYTHON ...]

`make dist-check` runs it in an environment that has build, hatchling and twine. The wheel is installed for each PYTHON,
by default for all versions of Python that it is classified for and that are here.
"""

import email.message
import email.parser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
AT_MOST = {"wheel": 1_000_000, "sdist": 2_000_000}  # bytes
RECIPES = "lrrec/datasets/recipes"
VERSIONS = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", name)]


def main(pythons: list[str]) -> None:
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lrrec-dist-") as name:
        folder = Path(name)
        sdist, wheel = build(ROOT, folder / "dist", "--sdist", "--wheel")
        say(f"{sdist.name}: {size(sdist, 'sdist')}; {wheel.name}: {size(wheel, 'wheel')}")
        run(sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel))
        check_metadata(metadata(wheel))
        check_names("the sdist", names_of_sdist(sdist), tracked() | {"PKG-INFO"})
        check_names("the wheel", names_of_wheel(wheel), expected_in_wheel())
        say("metadata, licence and lists of files are right")
        check_rebuilt(sdist, wheel, folder / "rebuilt")
        say("the sdist builds the same wheel")
        for python in pythons or here():
            use(python, wheel, folder / "use")
    say(f"all is well, {time.perf_counter() - begun:.0f} s")


def say(line: str) -> None:
    print(line, flush=True)


def run(*command: str, **options: object) -> str:
    """Run a command; its output is shown where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def build(source: Path, out: Path, *kinds: str) -> list[Path]:
    """Build distributions with the build backend of this environment; return the files, the sdist first."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *kinds, str(source))
    return sorted(out.iterdir(), key=lambda path: path.suffix == ".whl")


def size(path: Path, kind: str) -> str:
    n_bytes = path.stat().st_size
    if n_bytes > AT_MOST[kind]:
        sys.exit(f"{path.name} has {n_bytes:,} bytes, more than {AT_MOST[kind]:,}: what has come in?")
    return f"{n_bytes:,} bytes"


def tracked() -> set[str]:
    """The files of the repository; of an unpacked sdist, which is none, all files but what Python leaves behind."""
    git = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        return {name for name in git.stdout.split("\0") if name and (ROOT / name).exists()}
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return {str(path) for path in files if not {"__pycache__", ".venv", "dist"} & set(path.parts)} - {"PKG-INFO"}


def expected_in_wheel() -> set[str]:
    """The library and the recipes, and what every wheel has."""
    files = tracked()
    library = {name for name in files if name.startswith("lrrec/")}
    recipes = {f"{RECIPES}/{name.removeprefix('datasets/')}" for name in files if name.startswith("datasets/")}
    info = f"lrrec-{version()}.dist-info"
    about = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    needed = {"lrrec/py.typed", f"{RECIPES}/made-up.toml", f"{RECIPES}/made-up/ratings.csv"}
    if needed - library - recipes:
        sys.exit(f"the repository lacks {sorted(needed - library - recipes)}")
    return library | recipes | about


def version() -> str:
    """The version that the library names."""
    (found,) = re.findall(r'^__version__ = "(.*)"$', (ROOT / "lrrec" / "__init__.py").read_text(), flags=re.MULTILINE)
    return str(found)


def names_of_sdist(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as contents:
        return {entry.name.partition("/")[2] for entry in contents.getmembers() if entry.isfile()}


def names_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as contents:
        return {name for name in contents.namelist() if not name.endswith("/")}


def check_names(what: str, names: set[str], expected: set[str]) -> None:
    if names != expected:
        sys.exit(f"{what} lacks {sorted(expected - names)}, and has {sorted(names - expected)}, which nobody expects")


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as contents:
        text = contents.read(f"lrrec-{version()}.dist-info/METADATA").decode()
    return email.parser.Parser().parsestr(text)


def check_metadata(found: email.message.Message) -> None:
    """Compare the metadata with pyproject.toml, and the classifiers with each other."""
    expected = {
        "Name": "lrrec", "Version": version(), "Requires-Python": PROJECT["requires-python"],
        "License-Expression": PROJECT["license"], "License-File": "LICENSE", "Summary": PROJECT["description"],
        "Description-Content-Type": "text/markdown",
    }  # fmt: skip
    wrong = {name: found[name] for name, value in expected.items() if found[name] != value}
    if set(found.get_all("Provides-Extra", ())) != set(PROJECT["optional-dependencies"]):
        wrong["Provides-Extra"] = found.get_all("Provides-Extra")
    if sorted(VERSIONS, key=minor) != VERSIONS or f">={VERSIONS[0]}" != PROJECT["requires-python"]:
        wrong["Classifier"] = VERSIONS
    if wrong:
        sys.exit(f"metadata that differ from pyproject.toml: {wrong}")


def minor(version: str) -> int:
    return int(version.rpartition(".")[2])


def check_rebuilt(sdist: Path, wheel: Path, folder: Path) -> None:
    """Build the wheel once more, from the sdist alone: its files must be the same to the byte."""
    with tarfile.open(sdist) as contents:
        contents.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    (rebuilt,) = build(source, folder / "dist", "--wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(rebuilt) as other:
        check_names("the wheel of the sdist", set(other.namelist()), set(one.namelist()))
        differing = [name for name in one.namelist() if one.read(name) != other.read(name)]
    if differing:
        sys.exit(f"the wheel of the sdist differs in {differing}")


def here() -> list[str]:
    """The versions of Python that the wheel is classified for, as far as they are on this machine."""
    found = []
    for name in VERSIONS:
        path = shutil.which(f"python{name}") or ""
        shown = subprocess.run([path, "-V"], capture_output=True, text=True).stdout if path else ""
        if f" {name}." in shown:
            found.append(path)
        else:
            say(f"Python {name} is not here")
    return found or [sys.executable]


def use(python: str, wheel: Path, folder: Path) -> None:
    """Install the wheel and what it depends on in a new environment, and run the tour in an empty folder."""
    begun = time.perf_counter()
    run(python, "-m", "venv", "--clear", str(folder / "env"))
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    inside = str(binaries / "python")
    run(inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", str(wheel))
    run(inside, "-m", "pip", "check")
    installed = time.perf_counter() - begun
    (folder / "home").mkdir(parents=True, exist_ok=True)
    tour = str(shutil.copy(Path(__file__).parent / "tour.py", folder))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LRREC", "NUMBA"))}
    environment = kept | {"HOME": str(folder / "home"), "PATH": os.pathsep.join([str(binaries), kept["PATH"]])}
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        shown = run(inside, "-W", "error::DeprecationWarning:lrrec", tour, str(ROOT), cwd=empty, env=environment)
    used = time.perf_counter() - begun - installed
    say(f"{run(inside, '-V').strip()}: installed in {installed:.0f} s, used in {used:.0f} s\n{shown.strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
