#!/usr/bin/env bash
# The result files behind the tables of README, docs and model card, after train.sh wrote work/*/phrases.json:
# evaluate.sh DATA [MODEL PREFIX], where PREFIX begins the files' names.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats and people}
model=${2:-cris-pocket}
results=benchmarks/results
mkdir -p "$results"
out=$results/${3:-pocket}

for set in coco clothing car_parts cats people; do
    where=()
    [ "$set" = coco ] && where=(--where name=@voc)
    referent evaluate "$model" "$data/$set/instances.json" --split val --class-names --kind name "${where[@]}" \
        --protocol referent-masks,referent,cris --out "$out-names-$set.json"
done
for set in coco cats; do
    relation=()
    [ "$set" = coco ] && relation=(--kind relation)  # a file of one class has none
    referent evaluate "$model" "work/$set/phrases.json" --split val \
        --kind position --kind order --kind size --kind colour "${relation[@]}" --kind combined \
        --protocol referent-masks,referent,cris --out "$out-instances-$set.json"
done
# The DeepLabV3 that the model started from knows these 20 names alone.
referent evaluate "$model" work/coco/phrases.json --split val --where name=@voc \
    --kind position --kind order --kind size --kind colour --kind relation --kind combined \
    --protocol referent-masks --out "$out-voc-instances-coco.json"
# Things of a size that can be seen, by every phrase that is about one of them alone: what DeepLabV3's class masks score is in the model card.
for set in coco cats; do
    referent evaluate "$model" "work/$set/phrases.json" --split val --where name=@voc --where targets=1 --smallest 0.01 \
        --protocol referent-masks --out "$out-things-$set.json"
done
for set in coco car_parts cats; do
    referent evaluate "$model" "work/$set/phrases.json" --split val \
        --protocol referent,referent-masks,cris --out "$out-all-$set.json"
done
[ "$model" = cris-pocket ] || exit 0
for set in coco car_parts people; do
    where=()
    [ "$set" = coco ] && where=(--where name=@voc)
    referent evaluate "$model" "$data/$set/instances.json" --split val --class-names --kind name "${where[@]}" \
        --protocol referent-masks --dtype bf16 --out "$out-bf16-names-$set.json"
done
# One set of predictions under every protocol: the tables of docs/protocols.md.
referent evaluate "$model" work/coco/phrases.json --split val \
    --protocol referent,referent-masks,cris,lavt,unirefpp,grefcoco,reclip,fss --out "$out-protocols-coco.json"
