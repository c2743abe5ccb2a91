#!/usr/bin/env bash
# Lossy coding makes a loud sound louder than full scale. Reading OGG (Vorbis, Opus) as int16, libsndfile (soundfile) does not clip such samples
# but wraps them around: loud positive samples become negative ones. Read as float and clipped by the caller, they are right.
# MP3 is not affected. Exits with 0 while that is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 1; }
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import soundfile

print(f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}")
sound = np.clip(np.sin(np.arange(96000) * 0.05) * 3, -1, 1) * 0.99
wrapped = {}
for kind, subtype in (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")):
    with io.BytesIO() as file:
        soundfile.write(file, sound, 48000, format=kind, subtype=subtype)
        content = file.getvalue()
    floats, integers = (soundfile.read(io.BytesIO(content), dtype=dtype)[0] for dtype in ("float32", "int16"))
    wrapped[subtype] = int(np.sum((np.sign(floats) != np.sign(integers)) & (np.abs(floats) > 0.5)))
    print(f"{subtype}: peak {np.abs(floats).max():.3f} as float; of {len(sound)} samples {wrapped[subtype]} change sign as int16")
as_seen = wrapped["VORBIS"] > 1000 and wrapped["OPUS"] > 1000 and wrapped["MPEG_LAYER_III"] == 0
print("OGG wraps around" if as_seen else "the behaviour has changed")
sys.exit(not as_seen)
PYTHON
