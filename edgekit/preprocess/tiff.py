"""Whether a TIFF's directory, and every value it points to, lie inside the file."""

from __future__ import annotations

import struct

# Bytes of one value of each TIFF field type (TIFF 6.0, section 2; BigTIFF adds 16 to 18).
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def directory_is_whole(data: bytes) -> bool:
    """Walk the first directory of a TIFF without decoding anything.

    Pillow skips a field whose value lies beyond the end of the file with a warning; such a file was cut.

    Args:
        data: the whole file, which begins like a TIFF.

    Returns:
        False when the directory or a value that it points to ends beyond the file. Pixels are not looked at: the
        decoder finds those missing.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"\x2b\x00", b"\x00\x2b")
    word, count_code, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    inline = struct.calcsize(word)
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + count_code, data, start)
    except (struct.error, OverflowError):  # an offset beyond the file, or beyond any file
        return False
    first = start + struct.calcsize(count_code)
    if first + count * entry > len(data):
        return False
    for at in range(first, first + count * entry, entry):
        _, kind, number = struct.unpack_from(order + "HH" + word, data, at)
        size = _TYPE_SIZES.get(kind, 0) * number
        (value,) = struct.unpack_from(order + word, data, at + 4 + inline)
        if size > inline and value + size > len(data):
            return False
    return True
