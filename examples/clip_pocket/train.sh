#!/usr/bin/env bash
# From photographs and names to the pocket CLIP in the package: train.sh DATA WEIGHTS. Files go to work/.
set -euo pipefail
data=${1:?DATA: folder with coco, cats, clothing, car_parts, caltech101 and text}
weights=${2:?WEIGHTS: folder with mobilenet_v2_imagenet.safetensors}
here=$(dirname "$0")

python "$here/../cris_pocket/text_vectors.py" "$data/text" work/text_vectors.safetensors
# The vocabulary is that of the phrases which examples/cris_pocket/train.sh described.
python "$here/../cris_pocket/pretrain_text.py" work/text_vectors.safetensors work/clip_text.safetensors --phrases work/*/phrases.json
python "$here/crops.py" work/crops.jsonl --coco "$data"/{coco,cats,clothing,car_parts}/instances.json --folders "$data/caltech101"
python "$here/train.py" work/crops.jsonl work/text_vectors.safetensors work/clip-pocket.safetensors \
    --text work/clip_text.safetensors --image "$weights/mobilenet_v2_imagenet.safetensors" --steps 1500
cp work/clip-pocket.safetensors src/referent/pocket/clip-pocket.safetensors
