"""CSV files as blocks of bytes: whole records, each checked to have as many fields as the header."""

import codecs
import csv
import io
import itertools
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from lrrec.data.csv_kernel import NEWLINE, QUOTE, scan_records
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.validate import as_path, check_int, check_threads, import_extra

BLOCK_BYTES, HEADER_BYTES, PART_BYTES = 2**25, 2**20, 2**20
OPENERS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".zst": "zstandard"}  # suffix -> module with a function open
UNIT = "\x1f"  # stands for a delimiter of several characters: parsers of the field know single ones alone


@dataclass(frozen=True)
class Format:
    """How a CSV file is written; see `Interactions.from_csv`."""

    delimiter: str = ","
    encoding: str = "utf-8"
    header: int | None = 0
    quoting: int = csv.QUOTE_MINIMAL
    decimal: str = "."

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, str) or not self.delimiter or set(self.delimiter) & set('"\r\n'):
            raise ParameterError(
                f"delimiter must be the text between two fields, e.g. ';' or '::', got {self.delimiter!r}"
            )
        if not isinstance(self.decimal, str) or len(self.decimal) != 1 or self.decimal == self.delimiter:
            raise ParameterError(f"decimal must be one character other than the delimiter, got {self.decimal!r}")
        whole = isinstance(self.header, int) and not isinstance(self.header, bool) and self.header >= 0
        if not (self.header is None or whole):
            raise ParameterError(
                f"header must be the number of the line of column names, from 0, or None, got {self.header!r}"
            )
        check_int(self.quoting, "quoting", low=csv.QUOTE_MINIMAL, high=csv.QUOTE_NONE)
        try:
            codecs.lookup(self.encoding)
        except (LookupError, TypeError, ValueError):
            raise ParameterError(f"encoding must be one that Python knows, got {self.encoding!r}") from None

    @property
    def quoted(self) -> bool:
        """Whether quotes enclose fields; otherwise they are ordinary characters."""
        return self.quoting != csv.QUOTE_NONE

    @property
    def separator(self) -> str:
        """The one character between two fields of a block."""
        return self.delimiter if len(self.delimiter) == 1 and self.delimiter.isascii() else UNIT

    def records(self, text: str) -> Any:
        """An exact reader of records, slower than that of pandas, which reads the same."""
        quoting: Any = csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE
        return csv.reader(io.StringIO(text, newline=""), delimiter=self.separator, quoting=quoting, strict=True)


class Block(NamedTuple):
    """Some records, and those columns of them that are integers as Python writes them (no 007, +7, " 7" or quotes)."""

    text: bytes
    n_records: int
    integers: dict[int, np.ndarray]


class Records:
    """The records of a CSV file after its header, in UTF-8, block by block; line ends are those of Unix.

    Attributes
    ----------
    names : list
        The names of the columns; their numbers where there is no header.
    """

    def __init__(self, source: str, blocks: Iterator[bytes], form: Format) -> None:
        self.source, self.form, self._blocks = source, form, blocks
        self._first, self._line = next(blocks, b""), 0
        rows, n_rows = form.records(self._first[:HEADER_BYTES].decode(errors="replace")), (form.header or 0) + 1
        try:
            found = [record for _, record in zip(range(n_rows), filter(any, rows), strict=False)]
        except csv.Error as error:
            raise DataError(f"{source} must be a CSV file with a header line: {error}") from None
        if len(found) < n_rows:
            raise DataError(f"{source} must be a CSV file with a header line, got {len(found)} lines")
        lines = self._first.split(b"\n", rows.line_num)
        b"\n".join(lines[:-1]).decode()  # refuses what is no text
        self.names: list[Any] = list(range(len(found[-1])))
        if form.header is not None:
            self.names, self._line, self._first = [name.strip() for name in found[-1]], rows.line_num, lines[-1]
        if len(set(self.names)) < len(self.names):
            raise DataError(f"{source} must have distinct column names, got {', '.join(self.names)}")

    def blocks(self, places: Iterable[int]) -> Iterator[Block]:
        """Yield the blocks, with columns of integers at some places; raise DataError at a record with other fields."""
        columns = sorted(set(places))
        for text in itertools.chain([self._first], self._blocks):
            characters = np.frombuffer(text, dtype=np.uint8)
            edges, begins = _parts(text, characters, quoted=self.form.quoted)
            yield self._scan(text, characters, edges, begins, columns)
            self._line += int(begins[-1])

    def _scan(
        self, text: bytes, characters: np.ndarray, edges: list[int], begins: np.ndarray, columns: list[int]
    ) -> Block:
        """A block, of the parts characters[edges[p]:edges[p + 1]] with the lines begins[p] to begins[p + 1]."""
        rows = np.full(len(self.names), -1)
        rows[columns] = np.arange(len(columns))
        integers = np.empty((len(columns), begins[-1]), dtype=np.int64)
        whole, counts = np.empty((len(begins) - 1, len(columns)), dtype=bool), np.empty(len(begins) - 1, dtype=np.int64)
        separator = self.form.separator.encode()[0]

        def work(part: int, _: int) -> None:
            counts[part] = scan_records(
                edges[part], edges[part + 1], characters, separator, self.form.quoted, rows, begins[part], integers,
                whole[part],
            )  # fmt: skip

        run_blocks(work, even_blocks(len(counts), 1), len(counts))
        if (counts < 0).any():
            return Block(text, self._count_slowly(text), {})
        n_records = int(counts.sum())
        integer_rows = np.flatnonzero(whole.all(axis=0))
        return Block(text, n_records, {columns[row]: integers[row, :n_records] for row in integer_rows})

    def _count_slowly(self, block: bytes) -> int:
        """The number of records by the exact reader, for blank lines and quotes in fields; finds the first bad one."""
        text = block.decode(errors="replace")
        reader, n_records, begin = self.form.records(text), 0, 0
        try:
            for record in reader:
                blank = not record or (len(record) == 1 and not record[0].strip())
                if not blank and len(record) != len(self.names):
                    self._refuse(text, begin, f"{len(record)} fields where the header has {len(self.names)}")
                n_records, begin = n_records + (not blank), reader.line_num
        except csv.Error as error:
            self._refuse(text, begin, f"quotes that do not enclose a field ({error})")
        return n_records

    def _refuse(self, text: str, begin: int, what: str) -> None:
        """Raise the error of the record that begins at a line of a block's text."""
        line = text.split("\n", begin + 1)[begin].replace(UNIT, self.form.delimiter)
        shown = line if len(line) <= 100 else f"{line[:100]}..."
        raise DataError(
            f"{self.source}, line {self._line + begin + 1} must have a value for each column, got {what}: {shown!r}. "
            "Enclose fields that hold the delimiter in quotes, double the quotes within them, or pass delimiter= or "
            "quoting="
        )


@contextmanager
def opened(source: Any, form: Format) -> Iterator[Records]:
    """Open a path, compressed or not, or use an open file, of bytes or of text."""
    name = str(getattr(source, "name", "the file")) if hasattr(source, "read") else str(source)
    with ExitStack() as stack:
        file = source if hasattr(source, "read") else stack.enter_context(open_path(as_path(source).expanduser()))
        yield Records(name, _blocks(_chunks(file, form.encoding), form), form)


def open_path(path: Path) -> IO[bytes]:
    """Open a path for reading bytes, decompressed by its suffix."""
    if path.suffix in OPENERS:
        return import_extra(OPENERS[path.suffix], None, f"a {path.suffix} file").open(path, "rb")
    if path.suffix != ".zip":
        return path.open("rb")
    archive = zipfile.ZipFile(path)
    if len(archive.namelist()) != 1:
        raise DataError(f"{path} must hold one file, got {len(archive.namelist())}: unpack it, and name one of them")
    return archive.open(archive.namelist()[0])


def _chunks(file: IO[Any], encoding: str) -> Iterator[bytes]:
    """The contents in UTF-8, in chunks."""
    as_it_is = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    decoder = codecs.getincrementaldecoder(encoding)()
    while chunk := file.read(BLOCK_BYTES):
        if isinstance(chunk, str):
            yield chunk.encode()
        else:
            yield chunk if as_it_is else decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def _blocks(chunks: Iterable[bytes], form: Format) -> Iterator[bytes]:
    """Whole records: cut at the last end of a line outside of quotes."""
    rest, begun = b"", False
    for chunk in chunks:
        rest += chunk if begun else chunk.removeprefix(codecs.BOM_UTF8)
        begun = True
        cut = rest.rfind(b"\n") + 1
        if form.quoted and b'"' in rest and rest.count(b'"', 0, cut) % 2:  # the last line ends within quotes
            text = np.frombuffer(rest, dtype=np.uint8)
            ends = (text == NEWLINE) & ~_inside(text)
            cut = len(rest) - int(np.argmax(ends[::-1])) if ends.any() else 0
        if cut:
            yield _normalized(rest[:cut], form)
            rest = rest[cut:]
    if rest:
        yield _normalized(rest if rest.endswith((b"\n", b"\r")) else rest + b"\n", form)


def _normalized(block: bytes, form: Format) -> bytes:
    """A block with line ends of Unix and a separator of one character."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if form.separator == UNIT:
        if UNIT.encode() in block:
            raise DataError("a file with a delimiter of several characters must not hold the character U+001F")
        block = block.replace(form.delimiter.encode(), UNIT.encode())
    return block


def _parts(text: bytes, characters: np.ndarray, *, quoted: bool) -> tuple[list[int], np.ndarray]:
    """Edges of parts of whole lines, one for each thread, and the number of lines before each edge."""
    n_parts = 1 if quoted and b'"' in text else min(check_threads(None), len(text) // PART_BYTES + 1)
    cuts = {text.find(b"\n", part * len(text) // n_parts) + 1 for part in range(1, n_parts)}
    edges = sorted({0, len(text)} | cuts)
    lines = [np.count_nonzero(characters[begin:end] == NEWLINE) for begin, end in itertools.pairwise(edges)]
    return edges, np.concatenate(([0], np.cumsum(lines, dtype=np.int64)))


def _inside(text: np.ndarray) -> np.ndarray:
    """Whether each byte is within quotes, its opening quote included."""
    return (np.cumsum(text == QUOTE, dtype=np.uint8) & 1).view(bool)
