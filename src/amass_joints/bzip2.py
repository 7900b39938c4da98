"""bzip2 on several threads.

Its blocks, 900 kB of content each, do not depend on each other, but begin at any bit, where a mark of 48 bits stands.
So blocks are cut out at their marks, each is made a bzip2 stream of its own, and Python's decoder, which lets go of the
interpreter's lock, works on several at a time.
(Format: https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf.)
"""

from __future__ import annotations

import bz2
import re
import sys
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

import numpy as np

MAGIC = b"BZh"
"""What a stream begins with."""

_BLOCK, _END = 0x314159265359, 0x177245385090
"""Marks in bzip2: here begins a block, here ends a stream; each is followed by a CRC of 32 bits."""

_LONGEST_PIECE = 1 << 22
"""Bytes; no block compresses to so many."""

_MOST_JOINED = 16
"""How often a mark may stand in a block by chance; that it does so once, among all of AMASS, is improbable."""


def decompressed(file: BinaryIO, threads: int, chunk: int) -> Generator[bytes, None, None]:
    """Decompress a file of one or more streams, several blocks at a time; what follows them and is none is passed over.

    Args:
        file: the file.
        threads: how many decompress.
        chunk: bytes read at a time.

    Raises:
        OSError: without a number, as Python's decoder raises it: the file is damaged.
    """
    pieces = _cut_at_marks(file, chunk)
    waiting: deque[tuple[_Bits, Future[bytes | None]]] = deque()
    pool = ThreadPoolExecutor(threads)

    def next_piece() -> tuple[_Bits, Future[bytes | None]] | None:
        while len(waiting) < 2 * threads + 2 and (piece := next(pieces, None)) is not None:
            waiting.append((piece, pool.submit(_decode_block, piece)))
        return waiting.popleft() if waiting else None

    try:
        crc = 0
        while (begun := next_piece()) is not None:
            piece, decoded = begun
            if piece.number(0, 48) == _END:
                while piece.length < 80 and (following := next_piece()) is not None:  # a mark by chance in the checksum
                    piece = piece.followed_by(following[0])
                if piece.length < 80 or piece.number(48, 32) != crc:
                    raise OSError("bzip2: a checksum is wrong" if piece.length >= 80 else "it ends early")
                following_stream = piece.from_byte_after(80).lstrip(b"\0")
                if not following_stream.startswith(MAGIC):
                    return  # whatever follows is no stream
                _check_header(following_stream)
                crc = 0
                continue
            content = decoded.result()
            joined = 0
            while content is None:
                # A mark by chance, which is none, has cut a block; or the block is broken.
                following = next_piece()
                if following is None or joined == _MOST_JOINED or len(piece.data) > _LONGEST_PIECE:
                    raise OSError("bzip2: a block cannot be decoded")
                piece = piece.followed_by(following[0])
                content = _decode_block(piece)
                joined += 1
            yield content
            crc = ((crc << 1 | crc >> 31) & 0xFFFFFFFF) ^ piece.number(48, 32)
        raise OSError("it ends early")
    finally:
        pool.shutdown(cancel_futures=True)


def _check_header(before_mark: bytes) -> None:
    if not re.fullmatch(rb"BZh[1-9]", before_mark):
        raise OSError("bzip2: a stream does not begin as it should")


@dataclass(frozen=True)
class _Bits:
    """Bits of a file, the first of a byte being its highest."""

    data: bytes
    """The bytes that they lie in."""
    start: int
    """Where in the first byte they begin: 0 to 7."""
    length: int

    def number(self, at: int, length: int) -> int:
        """Give some of them as a number."""
        first, last = (self.start + at) // 8, -(-(self.start + at + length) // 8)
        number = int.from_bytes(self.data[first:last].ljust(last - first, b"\0"), "big")
        return number >> (8 * last - self.start - at - length) & ((1 << length) - 1)

    def aligned(self) -> np.ndarray:
        """Give them from a byte's beginning on, with others behind them."""
        data = np.frombuffer(self.data, np.uint8)
        if not self.start:
            return data
        shifted = data << self.start
        shifted[:-1] |= data[1:] >> (8 - self.start)
        return shifted

    def from_byte_after(self, at: int) -> bytes:
        """Give the bytes that begin at this bit or after it."""
        return self.data[-(-(self.start + at) // 8) :]

    def followed_by(self, other: _Bits) -> _Bits:
        """Join those that come next in the file."""
        return _Bits(self.data + other.data[other.start > 0 :], self.start, self.length + other.length)


def _decode_block(bits: _Bits) -> bytes | None:
    """Decompress a block of bzip2, from its mark to before the next; None: it is no whole block, or broken."""
    if bits.length < 80 or bits.number(0, 48) != _BLOCK:
        return None
    whole, over = divmod(bits.length, 8)
    block = bits.aligned()
    # The end of the stream comes right after the block; the stream's checksum is then that of the block.
    ending = (bits.number(8 * whole, over) << 80) | (_END << 32) | bits.number(48, 32)
    decoder = bz2.BZ2Decompressor()
    try:
        stream = b"".join((b"BZh9", block[:whole].data, (ending << -(over + 80) % 8).to_bytes(10 + (over > 0), "big")))
        content = decoder.decompress(stream)
    except OSError:
        return None
    return content if decoder.eof and not decoder.unused_data else None


def _cut_at_marks(file: BinaryIO, chunk: int) -> Iterator[_Bits]:
    """Cut a bzip2 file, after its header, before everything that looks like a mark."""
    data, start, searched = file.read(4), 32, 0
    _check_header(data)
    while True:
        more = file.read(chunk)
        data += more
        for mark in _find_marks(data, searched):
            if mark > start:
                yield _Bits(data[start // 8 : -(-mark // 8)], start % 8, mark - start)
                start = mark
        data, start = data[start // 8 :], start % 8
        searched = max(0, len(data) - 8)
        if not more or len(data) > _LONGEST_PIECE:
            yield _Bits(data, start, max(0, 8 * len(data) - start))
            return


def _find_marks(data: bytes, searched: int) -> Iterator[int]:
    """Say at which bits marks begin, from this byte on. The last eight bytes are to be searched again with the next.

    The first whole word of 16 bits that lies in a mark, of those that begin at every second byte, is one of 32.
    """
    may_be_one, bits_before = _words_of_marks()
    words = np.frombuffer(data, np.uint16, (len(data) - searched) // 2, searched)
    for index in np.flatnonzero(may_be_one[words]).tolist():
        at = searched + 2 * index
        window = int.from_bytes(data[at - 2 : at + 6], "big") if 2 <= at <= len(data) - 6 else 0
        for bits in bits_before[words[index]]:
            if window >> bits & 0xFFFFFFFFFFFF in (_BLOCK, _END):
                yield 8 * at - bits


@cache
def _words_of_marks() -> tuple[np.ndarray, dict[int, list[int]]]:
    """Give the words of 16 bits that are the first whole ones in a mark; and how many bits of the mark go before."""
    bits_before: dict[int, list[int]] = {}
    for mark in (_BLOCK, _END):
        for bits in range(16):
            word = (mark >> (32 - bits) & 0xFFFF).to_bytes(2, "big")
            bits_before.setdefault(int.from_bytes(word, sys.byteorder), []).append(bits)
    may_be_one = np.zeros(1 << 16, np.bool_)
    may_be_one[list(bits_before)] = True
    return may_be_one, bits_before
