#!/usr/bin/env bash
# From photographs with masks to the weights in the package: train.sh DATA WEIGHTS. Files go to work/ and runs/.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats, people, caltech101, text and davis2016}
weights=${2:?WEIGHTS: folder with deeplabv3_mobilenet_v2_voc.safetensors}
here=$(dirname "$0")
pocket=$here/../cris_pocket

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
python "$pocket/collages.py" "$data" work/collages1 --n 3200 --seed 1
referent describe work/collages1/instances.json --out work/collages1/phrases.json
python "$here/caltech_masks.py" work/deeplabv3_mobilenet_v2_voc.safetensors "$data/caltech101" work/caltech
python "$pocket/collages.py" "$data" work/collages-caltech --n 2400 --seed 3 --objects work/caltech

# Two processes of one thread each learn faster from 12 pictures than one of two threads.
export OMP_NUM_THREADS=1
train=(torchrun --nproc_per_node 2 -m referent train)
"${train[@]}" unirefpp-pocket
"${train[@]}" unirefpp-pocket "start={weights: runs/unirefpp-pocket/final.safetensors}" preparation.size=256 preparation.longest=384 \
    model.name=unirefpp-pocket-pictures optimiser.lr=6e-4 schedule.warmup=30 schedule.floor=0.02 steps=600 validate_every=600 output=runs/unirefpp-pocket-256
"${train[@]}" unirefpp-pocket-video
python "$here/../average.py" runs/unirefpp-pocket-256/final.safetensors runs/unirefpp-pocket-video/final.safetensors runs/unirefpp-pocket-video/mean.safetensors
"${train[@]}" unirefpp-pocket-320
python "$here/beside.py" runs/unirefpp-pocket-320/final.safetensors work/deeplabv3_mobilenet_v2_voc.safetensors work/unirefpp-beside.safetensors
"${train[@]}" unirefpp-pocket-objects
"${train[@]}" unirefpp-pocket-objects "start={weights: runs/unirefpp-pocket-objects/final.safetensors}" preparation.size=384 preparation.longest=576 \
    optimiser.lr=2.5e-4 schedule.warmup=10 schedule.floor=0.01 ema=0.98 steps=120 validate_every=120 output=runs/unirefpp-pocket-384
python "$pocket/ship.py" runs/unirefpp-pocket-384/final.safetensors runs/unirefpp-pocket-384/ship.safetensors --size 384 --longest 576 --frames 256 384
# Chosen on pictures of split train.
python "$here/../threshold.py" runs/unirefpp-pocket-384/ship.safetensors src/referent/pocket/unirefpp-pocket.safetensors \
    work/coco/phrases_train.json work/clothing/phrases.json work/car_parts/phrases.json work/cats/phrases.json --mask
