#!/usr/bin/env bash
# From photographs with masks to the weights in the package: train.sh DATA WEIGHTS. Files go to work/ and runs/.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats, people, caltech101, text and davis2016}
weights=${2:?WEIGHTS: folder with deeplabv3_mobilenet_v2_voc.safetensors}
pocket=$(dirname "$0")/../cris_pocket

mkdir -p work
ln -sfn "$(realpath "$data")" work/data
for set in coco clothing car_parts cats people; do
    mkdir -p "work/$set"
    referent describe "$data/$set/instances.json" --out "work/$set/phrases.json"
done
referent describe "$data/coco/instances.json" --none-share 0.3 --out work/coco/phrases_train.json
cp "$weights/deeplabv3_mobilenet_v2_voc.safetensors" work/
python "$pocket/pseudo_labels.py" work/deeplabv3_mobilenet_v2_voc.safetensors "$data" work/teacher.jsonl
python "$pocket/absent_names.py" "$data" work/absent.jsonl

referent train unirefpp-pocket
referent train unirefpp-pocket "start={weights: runs/unirefpp-pocket/final.safetensors}" preparation.size=256 preparation.longest=384 \
    optimiser.lr=6e-4 schedule.warmup=30 steps=480 validate_every=480 save_every=60 output=runs/unirefpp-pocket-256
# Chosen on pictures of split train.
python "$(dirname "$0")/threshold.py" runs/unirefpp-pocket-256/final.safetensors runs/unirefpp-pocket-256/found.safetensors \
    work/coco/phrases_train.json work/clothing/phrases.json work/car_parts/phrases.json work/cats/phrases.json
referent convert runs/unirefpp-pocket-256/found.safetensors src/referent/pocket/unirefpp-pocket.safetensors --dtype fp16
