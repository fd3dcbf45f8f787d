"""The compiled scan of CSV records, which reads integers by the way."""

import numpy as np

from lrrec.linalg.jit import kernel

NEWLINE, QUOTE, MINUS, ZERO = b'\n"-0'
LARGEST = np.uint64(2**63 - 1)
TEN = np.uint64(10)


@kernel()
def scan_records(start, stop, text, separator, quoted, rows, n_before, integers, whole):
    """Count the records of text[start:stop], uint8, whole lines; -1 if one is irregular.

    A regular record has as many fields as `rows`, int64 (n_fields,), and quotes, if they enclose fields, are first or
    last of a field or doubled. Field f of record r is read to integers[rows[f], n_before + r], int64 (n_columns,
    n_lines), unless rows[f] < 0; whole[rows[f]], bool (n_columns,), is set to whether all of them are integers of 64
    bits as Python writes them: no 007, +7, " 7" or quotes.
    """
    whole[:] = True
    field, begin, n, inside, other = 0, start, 0, False, False
    value = np.uint64(0)
    for i in range(start, stop):
        byte = text[i]
        if ZERO <= byte <= ZERO + 9 and byte != separator:
            value = TEN * value + np.uint64(byte - ZERO)
        elif quoted and byte == QUOTE:
            at = text[i + 1] if inside else text[i - 1] if i > start else NEWLINE
            if at != separator and at != NEWLINE and at != QUOTE:
                return -1
            inside, other = not inside, True
        elif not inside and (byte == NEWLINE or byte == separator):  # noqa: SIM109  # faster than in
            row = rows[field]
            if row >= 0:
                negative = i > begin and text[begin] == MINUS
                n_digits = i - begin - negative
                integers[row, n_before + n] = -np.int64(value) if negative else np.int64(value)
                if other or not 0 < n_digits <= 19 or value > LARGEST or (text[i - n_digits] == ZERO and i - begin > 1):
                    whole[row] = False
            begin, other, value = i + 1, False, np.uint64(0)
            field += 1
            if (byte == NEWLINE) != (field == len(rows)):
                return -1
            if byte == NEWLINE:
                field, n = 0, n + 1
        elif byte != MINUS or i > begin:
            other = True
    return -1 if inside else n
