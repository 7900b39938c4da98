"""Bad sequence files, and odd ones."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amass_files import sequence_arrays
from hostile import (
    Bad,
    Expected,
    Part,
    damaged,
    deflate,
    header,
    not_files,
    npy,
    npz,
    objects,
    replaced,
    with_header,
    write_zip,
    written,
    zipped,
)

GOOD = sequence_arrays()
"""The arrays of a good sequence."""


def sequence(**changes: Any) -> bytes:
    """A sequence file with something changed; None leaves an array out, bytes are written as they are."""
    return npz({name: a for name, a in (GOOD | changes).items() if a is not None})


def sequences() -> Iterator[Bad]:
    """All of them."""
    yield from not_files()
    yield from damaged(GOOD)
    yield Bad("a zip of nothing", written(zipped({})), "it holds no arrays")
    yield Bad("a zip of other files", written(zipped({"word/document.xml": b"text"})), "it holds no arrays")
    yield from bombs()
    yield from contents()
    yield from oddities()


def bombs() -> Iterator[Bad]:
    """Files that become very large when they are read, or when they are converted."""
    reason = "2000001 frames.*expected at most 2000000 frames"
    yield Bad("a hole of gigabytes", partial(with_hole, 2_000_001, "False"), reason)
    reason = "poses.*in Fortran's order.*expected at most 67108864 values"
    yield Bad("a hole in Fortran's order", partial(with_hole, 500_000, "True"), reason)
    day = {"poses": np.zeros((90_000, 72), np.int8), "trans": np.zeros((90_000, 3), np.int8), "dmpls": None}
    long = partial(deflated_sequence, **day, mocap_framerate=1.0)
    yield Bad("a day", written(long), "90000 frames, 25.0 hours, expected at most")
    wide = partial(deflated_sequence, dmpls=np.zeros((24, 1_000_000), np.int8))
    yield Bad("a million dmpls", written(wide), "dmpls.*1000000 values a frame, expected 8")
    text = with_header(header("()", "'<U536870911'"))
    yield Bad("a gender of gigabytes", written(partial(sequence, gender=text)), "gender.*promises 2147483644 bytes")
    text = partial(deflated_sequence, gender=np.array("male", "U50000"))
    yield Bad("a gender of much room", written(text), "gender.*expected one text")


def with_hole(frames: int, order: str, path: Path) -> None:
    """A sequence whose poses are a hole in the disk."""
    arrays = {name: npy(GOOD[name]) for name in ("betas", "gender", "mocap_framerate")}
    parts = [Part(f"{name}.npy", array) for name, array in arrays.items()]
    trans = npy(np.zeros((frames, 3), np.int8))
    parts.append(Part("trans.npy", deflate(trans), zipfile.ZIP_DEFLATED, len(trans)))
    poses = with_header(header(f"({frames}, 156)", order=order))
    write_zip([*parts, Part("poses.npy", poses, hole=1248 * frames)], path)


def deflated_sequence(**changes: Any) -> bytes:
    return npz({name: a for name, a in (GOOD | changes).items() if a is not None}, zipfile.ZIP_DEFLATED)


def with_value(name: str, value: float, dtype: Any = np.float64) -> np.ndarray:
    """A good array with one value replaced: of the seventh frame, where it has frames."""
    array = GOOD[name].astype(dtype)
    array[(7,) + (1,) * (array.ndim - 1)] = value
    return array


def contents() -> Iterator[Bad]:
    """Files that are whole, but what they hold is no motion."""
    for name in ("poses", "trans", "betas", "gender", "mocap_framerate"):
        yield Bad(f"no {name}", written(partial(sequence, **{name: None})), f"no array '{name}'")
        reason = "pickled Python objects, which are never loaded"
        yield Bad(f"{name} pickled", written(partial(sequence, **{name: objects()})), f"'{name}'.*{reason}")
    for name, where in (("poses", " in frame 7"), ("trans", " in frame 7"), ("dmpls", " in frame 7"), ("betas", "")):
        first = f", first{where}" if where else ""
        for value in (np.nan, np.inf, -np.inf):
            changed = partial(sequence, **{name: with_value(name, value)})
            yield Bad(f"{value} in {name}", written(changed), f"'{name}': it has values that are not finite{first}$")
        for value, shown in ((1e300, r"1e\+300"), (-1e9, r"-1e\+09")):
            changed = partial(sequence, **{name: with_value(name, value)})
            yield Bad(f"{value} in {name}", written(changed), f"'{name}': {shown}{where}, expected at most 1")
    yield from (Bad(name, written(partial(sequence, **changes)), reason) for name, changes, reason in CONTENTS)


CONTENTS: list[tuple[str, dict[str, Any], str]] = [
    ("float32's largest in poses", {"poses": with_value("poses", 3e38, np.float32)}, r"3e\+38 in frame 7, expected"),
    ("long double's largest in poses", {"poses": with_value("poses", np.finfo("g").max, "g")}, "in frame 7"),
    ("turned a thousand radians", {"poses": with_value("poses", 1001)}, "'poses': 1001 in frame 7.* 1000 radians"),
    ("far away", {"trans": with_value("trans", -100_001)}, "'trans': -100001 in frame 7.* 100000 metres"),
    ("poses of complex numbers", {"poses": GOOD["poses"] + 1j}, "'poses': expected real numbers, found complex128"),
    ("poses of text", {"poses": GOOD["poses"].astype("U9")}, "'poses': expected real numbers, found <U9"),
    ("poses of bytes", {"poses": GOOD["poses"].astype("S9")}, r"'poses': expected real numbers, found \|S9"),
    ("poses of truth values", {"poses": GOOD["poses"] > 0}, "'poses': expected real numbers, found bool"),
    ("no frames", {name: GOOD[name][:0] for name in ("poses", "trans", "dmpls")}, "it has no frames"),
    ("trans shorter", {"trans": GOOD["trans"][:-1]}, "'poses' has 24 frames, 'trans' has 23"),
    ("dmpls longer", {"dmpls": np.zeros((25, 8))}, "'poses' has 24 frames, 'dmpls' has 25"),
    ("poses of no frames", {"poses": np.zeros((0, 156))}, "'poses' has 0 frames, 'trans' has 24"),
    ("poses of one axis", {"poses": GOOD["poses"].reshape(-1)}, r"'poses': its shape is \(3744,\)"),
    ("poses of three axes", {"poses": GOOD["poses"].reshape(24, 52, 3)}, r"'poses': its shape is \(24, 52, 3\)"),
    ("poses of no axes", {"poses": np.array(1.0)}, r"'poses': its shape is \(\)"),
    ("poses transposed", {"poses": GOOD["poses"].T}, "24 pose values a frame, expected 156"),
    ("poses of no width", {"poses": np.zeros((24, 0))}, "^0 pose values a frame, expected 156"),
    *((f"{n} pose values", {"poses": np.zeros((24, n))}, f"{n} pose values a frame") for n in (1, 66, 155, 157, 312)),
    ("72 pose values, of SMPL", {"poses": np.zeros((24, 72))}, "it needs .*smpl.male.model.npz: not there"),
    ("165 pose values, of a man", {"poses": np.zeros((24, 165))}, "it needs .*smplx.male.model.npz: not there"),
    ("trans of two", {"trans": np.zeros((24, 2))}, "'trans': 2 values a frame, expected 3"),
    ("trans of one axis", {"trans": np.zeros(24)}, r"'trans': its shape is \(24,\), expected \(frames, 3\)"),
    ("no dmpls at all", {"dmpls": np.zeros((24, 0))}, "'dmpls': 0 values a frame, expected 8"),
    ("dmpls of seven", {"dmpls": np.zeros((24, 7))}, "'dmpls': 7 values a frame, expected 8"),
    ("betas for each frame", {"betas": np.zeros((24, 16))}, r"'betas': its shape is \(24, 16\)"),
    ("betas of no axes", {"betas": np.array(1.0)}, r"'betas': its shape is \(\)"),
    ("betas without number", {"betas": np.zeros(1_000_000, np.int8)}, r"'betas': its shape is \(1000000,\)"),
    ("betas of text", {"betas": np.array(["tall"] * 16)}, "'betas': expected real numbers, found <U4"),
    ("rate of zero", {"mocap_framerate": 0.0}, "its frame rate is 0 Hz, expected 1 to 10000 Hz"),
    ("rate below zero", {"mocap_framerate": -120.0}, "its frame rate is -120 Hz"),
    ("rate near zero", {"mocap_framerate": 5e-324}, "its frame rate is 4.94066e-324 Hz"),
    ("rate beyond all", {"mocap_framerate": 1e300}, r"its frame rate is 1e\+300 Hz"),
    ("rate that is no number", {"mocap_framerate": np.nan}, "'mocap_framerate': .*not finite"),
    ("rate without end", {"mocap_framerate": np.inf}, "'mocap_framerate': .*not finite"),
    ("rate of text", {"mocap_framerate": "120"}, "'mocap_framerate': expected real numbers, found <U3"),
    ("rate of bytes", {"mocap_framerate": np.array(b"120")}, r"'mocap_framerate': expected real numbers, found \|S3"),
    ("rate of two", {"mocap_framerate": [120.0, 60.0]}, r"'mocap_framerate': its shape is \(2,\), expected one number"),
    ("rate of none", {"mocap_framerate": np.zeros(0)}, r"'mocap_framerate': its shape is \(0,\), expected one number"),
    ("rate that is complex", {"mocap_framerate": 120 + 1j}, "'mocap_framerate': expected real numbers, found complex"),
    ("gender unknown", {"gender": "unknown"}, "its gender is 'unknown', expected male, female, neutral"),
    ("gender empty", {"gender": ""}, "its gender is ''"),
    ("gender of a number", {"gender": 1.0}, "'gender': found float64 of shape .*, expected one text"),
    ("gender of two", {"gender": ["male", "female"]}, r"'gender': found <U6 of shape \(2,\), expected one text"),
    ("gender of a column", {"gender": [["male"], ["male"]]}, r"'gender': found <U4 of shape \(2, 1\)"),
    ("gender of none", {"gender": np.zeros(0, "U4")}, r"'gender': found <U4 of shape \(0,\)"),
    ("gender half quoted", {"gender": "b'male"}, 'its gender is "b\'male"'),
    ("gender quoted twice", {"gender": "b\"b'male'\""}, "its gender is"),
    ("gender in colour", {"gender": "\x1b[31mmale"}, r"its gender is '\\x1b\[31mmale'"),
    ("gender of a novel", {"gender": "male " * 50}, "its gender is 'male male .{30,36}', expected"),
    ("gender of no characters", {"gender": with_header(header("()", "'<U1'"), b"\xff" * 4)}, "'gender'.*do not exist"),
    ("gender of strange bytes", {"gender": np.array(b"\xff\xfe")}, "its gender is 'ÿþ'"),
]


def oddities() -> Iterator[Bad]:
    """Files that are only odd: the same numbers, stored in other ways."""
    rounded = {name: (GOOD[name] * 4).round() for name in ("poses", "trans", "dmpls")}
    for name, dtype in (
        ("float16", "f2"),
        ("float32", "f4"),
        ("long double", "g"),
        ("integers", "i4"),
        ("bytes", "i1"),
    ):
        small = {
            key: array.astype(dtype) for key, array in (rounded if dtype[0] == "i" else GOOD).items() if array.ndim == 2
        }
        same = GOOD | {key: array.astype(np.float64) for key, array in small.items()}
        yield Bad(f"of {name}", written(partial(sequence, **small)), same_as=same)
    yield from (
        Bad(name, written(make if callable(make) else partial(sequence, **make)), same_as=GOOD | (same or {}))
        for name, make, same in ODDITIES
    )


TINY = with_value("poses", 5e-324)
FRAMES = {name: GOOD[name][:1] for name in ("poses", "trans", "dmpls")}
TURNED = with_value("poses", 999.0)
OTHER_WORDS = '{"shape":(24,3),"fortran_order":False,"descr":"<f8"}'

ODDITIES: list[tuple[str, Any, dict[str, np.ndarray] | None]] = [
    (
        "in Fortran's order",
        {"poses": np.asfortranarray(GOOD["poses"]), "trans": np.asfortranarray(GOOD["trans"])},
        None,
    ),
    ("big-endian", {name: GOOD[name].astype(">f8") for name in ("poses", "trans", "betas", "mocap_framerate")}, None),
    ("compressed", deflated_sequence, None),
    ("a header of Python 2", {"trans": replaced(npy(GOOD["trans"]), b"(24, 3), }  ", b"(24L, 3L), }")}, None),
    ("a header in other words", {"trans": with_header(OTHER_WORDS, GOOD["trans"].tobytes())}, None),
    ("a header of version 2", {"trans": with_header(header("(24, 3)"), GOOD["trans"].tobytes(), (2, 0))}, None),
    ("a gender of bytes", {"gender": np.array(b"male")}, None),
    ("a gender of bytes made text", {"gender": "b'male'"}, None),
    ("a gender in a box in a box", {"gender": [["male"]]}, None),
    ("a gender in capitals", {"gender": " MALE\n"}, None),
    ("a rate in a box", {"mocap_framerate": [[120]]}, None),
    ("betas in a box", {"betas": GOOD["betas"][None]}, None),
    ("fewer betas", {"betas": GOOD["betas"][:10]}, {"betas": np.append(GOOD["betas"][:10], np.zeros(6))}),
    ("one frame", FRAMES, FRAMES),
    ("subnormal", {"poses": TINY}, {"poses": with_value("poses", 0.0)}),
    ("turned very often", {"poses": TURNED}, {"poses": TURNED}),
    ("other arrays pickled", {"labels": objects(), "notes": b"no array at all"}, None),
    ("a comment behind it", lambda: sequence()[:-2] + b"\7\0comment", None),
    ("a program before it", lambda: b"#!/bin/sh\nexit 1\n" + sequence(), None),
]


def write_sequences(data: Path) -> Expected:
    """Write all, as a dataset, with good ones among them."""
    expected = Expected()
    good = [Bad(name, written(sequence), same_as=GOOD) for name in ("a good one", "more of it", "the zeroth")]
    for bad in (*sequences(), *good):
        path = data / "Sequences/s" / f"{bad.name}_poses.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        bad.make(path)
        name = f"Sequences/s/{bad.name}_poses"
        if bad.same_as is None:
            expected.skipped[name] = bad.reason
        else:
            expected.converted[name] = bad.same_as
    return expected
