#!/usr/bin/env bash
# The result files behind the tables of README, docs and model card: evaluate.sh DATA, after train.sh wrote work/*/phrases.json.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats and people}
results=benchmarks/results
mkdir -p "$results"

for set in coco clothing car_parts cats people; do
    where=()
    [ "$set" = coco ] && where=(--where name=@voc)
    referent evaluate cris-pocket "$data/$set/instances.json" --split val --class-names --kind name "${where[@]}" \
        --protocol referent-masks,referent,cris --out "$results/pocket-names-$set.json"
done
for set in coco cats; do
    relation=()
    [ "$set" = coco ] && relation=(--kind relation)  # a file of one class has none
    referent evaluate cris-pocket "work/$set/phrases.json" --split val \
        --kind position --kind order --kind size --kind colour "${relation[@]}" --kind combined \
        --protocol referent-masks,referent,cris --out "$results/pocket-instances-$set.json"
done
# The DeepLabV3 that the model started from knows these 20 names alone.
referent evaluate cris-pocket work/coco/phrases.json --split val --where name=@voc \
    --kind position --kind order --kind size --kind colour --kind relation --kind combined \
    --protocol referent-masks --out "$results/pocket-voc-instances-coco.json"
for set in coco car_parts cats; do
    referent evaluate cris-pocket "work/$set/phrases.json" --split val \
        --protocol referent,referent-masks,cris --out "$results/pocket-all-$set.json"
done
for set in coco car_parts people; do
    where=()
    [ "$set" = coco ] && where=(--where name=@voc)
    referent evaluate cris-pocket "$data/$set/instances.json" --split val --class-names --kind name "${where[@]}" \
        --protocol referent-masks --dtype bf16 --out "$results/pocket-bf16-names-$set.json"
done
# One set of predictions under every protocol: the tables of docs/protocols.md.
referent evaluate cris-pocket work/coco/phrases.json --split val \
    --protocol referent,referent-masks,cris,lavt,unirefpp,grefcoco,reclip,fss --out "$results/pocket-protocols-coco.json"
