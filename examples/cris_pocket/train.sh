#!/usr/bin/env bash
# From photographs with masks to the weights in the package: train.sh DATA WEIGHTS. Files go to work/ and runs/.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats, people, caltech101 and text}
weights=${2:?WEIGHTS: folder with deeplabv3_mobilenet_v2_voc.safetensors}
here=$(dirname "$0")

for set in coco clothing car_parts cats people; do
    mkdir -p "work/$set"
    referent describe "$data/$set/instances.json" --out "work/$set/phrases.json"
done
# Training alone gets more phrases that are true of nothing than the evaluation.
referent describe "$data/coco/instances.json" --none-share 0.3 --out work/coco/phrases_train.json
cp "$weights/deeplabv3_mobilenet_v2_voc.safetensors" work/
python "$here/text_vectors.py" "$data/text" work/text_vectors.safetensors
python "$here/pretrain_text.py" work/text_vectors.safetensors work/text.safetensors --phrases work/*/phrases.json
python "$here/pseudo_labels.py" work/deeplabv3_mobilenet_v2_voc.safetensors "$data" work/teacher.jsonl
python "$here/absent_names.py" "$data" work/absent.jsonl
python "$here/collages.py" "$data" work/collages
for seed in 1 2; do
    python "$here/collages.py" "$data" "work/collages$seed" --n 3200 --seed "$seed"
done
for collages in work/collages work/collages1 work/collages2; do
    referent describe "$collages/instances.json" --out "$collages/phrases.json"
done

referent train cris-pocket
referent train cris-pocket-416
referent train cris-pocket-352
# Two processes of one thread each learn faster from 16 pictures than one of two threads.
export OMP_NUM_THREADS=1
torchrun --nproc_per_node 2 -m referent train cris-pocket-320
torchrun --nproc_per_node 2 -m referent train cris-pocket-final
python "$here/towards.py" runs/cris-pocket-final/final.safetensors work/deeplabv3_mobilenet_v2_voc.safetensors work/cris-mixed.safetensors --share 0.25
torchrun --nproc_per_node 2 -m referent train cris-pocket-distilled
python "$here/../average.py" runs/cris-pocket-final/final.safetensors runs/cris-pocket-distilled/final.safetensors runs/cris-pocket-distilled/mean.safetensors --share 0.85
python "$here/ship.py" runs/cris-pocket-distilled/mean.safetensors runs/cris-pocket-distilled/ship.safetensors --size 512
python "$here/../threshold.py" runs/cris-pocket-distilled/ship.safetensors src/referent/pocket/cris-pocket.safetensors \
    work/coco/phrases.json work/car_parts/phrases.json work/cats/phrases.json
