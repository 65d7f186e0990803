#!/usr/bin/env python3
"""Packs a byte-pair vocabulary: `tokens.py o200k_base.tiktoken[.gz] ../data/o200k.bin`.

The source has a line a token: its bytes in base64, and its rank. What is written is zlib of: for each token in the order
of ranks, one byte of length and the token's bytes. Ranks must be 0, 1, 2 ... without a gap.
"""

import base64
import gzip
import sys
import zlib


def main(source: str, target: str) -> None:
    opened = gzip.open(source) if source.endswith(".gz") else open(source, "rb")
    with opened as lines:
        tokens = [line.split() for line in lines if line.strip()]
    packed = bytearray()
    for rank, (token, at) in enumerate(tokens):
        if int(at) != rank:
            raise SystemExit(f"rank {int(at)} where {rank} was expected")
        text = base64.b64decode(token)
        packed.append(len(text))
        packed += text
    with open(target, "wb") as out:
        out.write(zlib.compress(bytes(packed), 9))
    print(f"{len(tokens)} tokens, {len(packed)} bytes unpacked")


if __name__ == "__main__":
    main(*sys.argv[1:])
