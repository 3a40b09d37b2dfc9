#!/usr/bin/env bash
# The result files behind reclip-pocket's tables: evaluate.sh DATA, after train.sh and with work/*/phrases.json described.
set -euo pipefail
data=$(realpath "${1:?DATA: folder with coco and cats}")
here=$(dirname "$0")
results=benchmarks/results

for split in val held-out; do
    python "$here/measure.py" work/crops.jsonl work/text_vectors.safetensors --split "$split" --out "$results/clip-pocket-zero-shot-$split.json"
done
# One thing is meant, and the annotated boxes are what there is to choose from: the paper's setting with true boxes.
for set in coco cats; do
    relation=()
    [ "$set" = coco ] && relation=(--kind relation)  # a file of one class has none
    for method in reclip ips; do
        cat > "work/$method-$set.yaml" <<YAML
name: $method-pocket, annotated boxes
clips: [clip-pocket]
proposals: $data/$set/instances.json
mode: fixed
sigma: 20
method: $method
YAML
        rm -f "work/$method-$set.jsonl"
        referent evaluate "work/$method-$set.yaml" "work/$set/phrases.json" --split val \
            --kind position --kind order --kind size --kind colour "${relation[@]}" --kind combined \
            --protocol reclip --save "work/$method-$set.jsonl" --out "$results/reclip-pocket-$set-$method.json"
    done
    referent compare "$results/reclip-pocket-$set-ips.json" "$results/reclip-pocket-$set-reclip.json" \
        --number accuracy --draw "work/reclip-pocket-$set.png" --out "$results/reclip-against-ips-$set.json"
done
# As a user gets it: cris-pocket's masks as proposals.
referent evaluate reclip-pocket work/coco/phrases.json --split val \
    --kind position --kind order --kind size --kind relation --kind combined --kind colour \
    --protocol reclip,referent-masks --out "$results/reclip-pocket-coco-offline.json"
for set in coco cats; do
    python benchmarks/proposal_recall.py "work/$set/phrases.json" --split val --limit 56 --out "$results/proposal-recall-$set.json"
done
