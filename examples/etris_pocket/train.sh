#!/usr/bin/env bash
# From cris-pocket's data to the adapter in the package, and to the models with further heads, which are not in it:
# train.sh DATA, after ../cris_pocket/train.sh wrote work/. The rest goes to runs/.
set -euo pipefail
data=${1:?DATA: folder with car_parts and caltech101}
# Memory is kept and not given back between steps: on a CPU that saves a tenth of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456

referent train etris-pocket
last=(torchrun --nproc_per_node 2 -m referent train etris-pocket-416)
OMP_NUM_THREADS=1 "${last[@]}"
OMP_NUM_THREADS=1 "${last[@]}" start.weights=runs/etris-pocket-416/final.safetensors preparation.size=480 data.train.4.weight=5 \
    optimiser.lr=4e-4 ema=0.996 steps=300 validate_every=300 output=runs/etris-pocket-480
# An adapter stays one: its header names the file of its encoders.
here=$(dirname "$0")
python "$here/../cris_pocket/ship.py" runs/etris-pocket-480/final.safetensors runs/etris-pocket-480/ship.safetensors --size 512
python "$here/../threshold.py" runs/etris-pocket-480/ship.safetensors src/referent/pocket/etris-pocket.safetensors \
    work/coco/phrases_train.json work/clothing/phrases.json work/car_parts/phrases.json work/cats/phrases.json

# The appendix's variants; both start from the adapter that is now in the package.
ln -sfn "$(realpath "$data")" work/data
referent train etris-pocket-detection
referent train etris-pocket-classification
