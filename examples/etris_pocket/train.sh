#!/usr/bin/env bash
# From cris-pocket's data to the adapter in the package, and to the models with further heads, which are not in it:
# train.sh DATA, after ../cris_pocket/train.sh wrote work/. The rest goes to runs/.
set -euo pipefail
data=${1:?DATA: folder with car_parts and caltech101}
# Memory is kept and not given back between steps: on a CPU that saves a tenth of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456

referent train etris-pocket
OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 -m referent train etris-pocket-416
# An adapter stays one: its header names the file of its encoders.
python "$(dirname "$0")/../cris_pocket/ship.py" runs/etris-pocket-416/final.safetensors src/referent/pocket/etris-pocket.safetensors --size 512

# The appendix's variants; both start from the adapter that is now in the package.
ln -sfn "$(realpath "$data")" work/data
referent train etris-pocket-detection
referent train etris-pocket-classification
