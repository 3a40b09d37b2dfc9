#!/usr/bin/env bash
# The tables of cris-pocket once more, for etris-pocket: evaluate.sh DATA, after ../cris_pocket/train.sh wrote work/*/phrases.json.
set -euo pipefail
"$(dirname "$0")/../cris_pocket/evaluate.sh" "${1:?DATA: folder with coco, clothing, car_parts, cats and people}" etris-pocket etris-pocket
for set in coco car_parts cats; do
    referent classes etris-pocket "$1/$set/instances.json" --task semantic --out "benchmarks/results/etris-pocket-classes-$set.json"
done
python benchmarks/etris_sizes.py --out benchmarks/results
