#!/usr/bin/env bash
# From cris-pocket's data to the weights in the package: train.sh, after ../cris_pocket/train.sh wrote work/. The rest goes to runs/.
set -euo pipefail
here=$(dirname "$0")
# Memory is kept and not given back between steps: on a CPU that saves a fifth of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456

python "$here/vocabulary.py" work/text_vectors.safetensors work/magnet_vocabulary.txt --phrases work/*/phrases.json
python "$here/../cris_pocket/pretrain_text.py" work/text_vectors.safetensors work/magnet_text.safetensors \
    --pieces work/magnet_vocabulary.txt --steps 600 --batch 64
OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 -m referent train magnet-pocket    # a core each
python "$here/../cris_pocket/ship.py" runs/magnet-pocket/final.safetensors src/referent/pocket/magnet-pocket.safetensors --size 320
