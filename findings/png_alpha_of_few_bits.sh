#!/usr/bin/env bash
# tf.io.decode_png(channels=4) gives an opaque PNG of 1, 2 or 4 bits the alpha 1, 3 or 15 in place of 255, so that it is nearly invisible
# when it is laid over a background. With 8 bits the alpha is 255, and Pillow gives 255 for all of them. Exits with 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet tensorflow==2.21.0 pillow==12.2.0 numpy==2.3.5
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1 "$folder/env/bin/python" - <<'EOF'
import io
import sys

import numpy as np
import PIL
import tensorflow as tf
from PIL import Image

print(f"tensorflow {tf.__version__}, pillow {PIL.__version__}")
grey = Image.linear_gradient("L").resize((32, 32))
changed = False
for bits in (1, 2, 4, 8):
    file = io.BytesIO()
    grey.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2**bits).save(file, "PNG", bits=bits)
    content = file.getvalue()
    pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))
    found = tf.io.decode_png(content, channels=4).numpy()
    alphas = sorted(set(found[..., 3].ravel().tolist()))
    print(f"palette of {content[24]} bits: alpha {alphas} by TensorFlow, {sorted(set(pillow[..., 3].ravel().tolist()))} by Pillow;"
          f" colours {'equal' if (found[..., :3] == pillow[..., :3]).all() else 'differ'}")
    changed |= alphas != [2**bits - 1]
sys.exit(changed)
EOF
