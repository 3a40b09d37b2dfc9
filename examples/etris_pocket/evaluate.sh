#!/usr/bin/env bash
# The tables of cris-pocket once more, for etris-pocket: evaluate.sh DATA, after ../cris_pocket/train.sh wrote work/*/phrases.json;
# and those of the appendix's variants, after train.sh wrote runs/.
set -euo pipefail
"$(dirname "$0")/../cris_pocket/evaluate.sh" "${1:?DATA: folder with coco, clothing, car_parts, cats, people and caltech101}" etris-pocket etris-pocket
for set in coco car_parts cats; do
    referent classes etris-pocket "$1/$set/instances.json" --task semantic --out "benchmarks/results/etris-pocket-classes-$set.json"
done
referent classes runs/etris-pocket-detection/final.safetensors "$1/car_parts/instances.json" --split val --task detection --task semantic \
    --out benchmarks/results/etris-pocket-detection-car_parts.json
referent classes runs/etris-pocket-classification/final.safetensors "$1/caltech101" --split val --limit 410 \
    --out benchmarks/results/etris-pocket-classification-caltech101.json
python benchmarks/etris_sizes.py --out benchmarks/results
