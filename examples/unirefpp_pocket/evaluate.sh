#!/usr/bin/env bash
# The result files behind the tables of unirefpp-pocket's card: evaluate.sh DATA [MODEL], after train.sh wrote work/*/phrases.json.
set -euo pipefail
data=${1:?DATA: folder with coco, clothing, car_parts, cats, people and davis2016}
model=${2:-unirefpp-pocket}
results=benchmarks/results
mkdir -p "$results"
declare -A left_out=(
    [coco]="banana,bicycle,broccoli,cell phone,dining table,frisbee,keyboard,mouse,potted plant,sink,stop sign,toaster,tv"
    [clothing]="blazer,cape,glasses,jacket,pants,scarf,sneakers,sweatshirt,wallet"
    [car_parts]="back glass,hood,tailgate"
)

# shots SHOTS SET [CLASSES RESULT]: classes that it was not taught, by examples of them. Of coco all pictures
# are asked about, as the 56 of split val show few of these classes twice.
shots() {
    split=val
    [ "$2" = coco ] && split=all
    referent evaluate "$model" "$data/$2/instances.json" --split "$split" --shots "$1" --seeds 5 --episodes 60 \
        --classes "${3:-${left_out[$2]}}" --out "$results/unirefpp-pocket-shots-$2-${4:-$1}.json"
}

# Classes of a result by examples, some of which may be in too few pictures to be asked.
classes_of() {
    python -c 'import json, sys; print(",".join(sorted(json.load(open(sys.argv[1]))["few_shot"]["classes"])))' "$1"
}

# Class names, as cris-pocket is measured (examples/cris_pocket/evaluate.sh).
for set in coco clothing car_parts cats people; do
    where=()
    [ "$set" = coco ] && where=(--where name=@voc)
    referent evaluate "$model" "$data/$set/instances.json" --split val --class-names --kind name "${where[@]}" \
        --protocol referent-masks,referent --out "$results/unirefpp-pocket-names-$set.json"
done
for set in coco cats; do
    relation=()
    [ "$set" = coco ] && relation=(--kind relation)
    referent evaluate "$model" "work/$set/phrases.json" --split val \
        --kind position --kind order --kind size --kind colour "${relation[@]}" --kind combined \
        --protocol referent-masks,referent --out "$results/unirefpp-pocket-instances-$set.json"
done
for set in coco car_parts cats; do
    referent evaluate "$model" "work/$set/phrases.json" --split val \
        --protocol referent,referent-masks --out "$results/unirefpp-pocket-all-$set.json"
done

# Names that it was taught, asked of both models: cris-pocket was taught those too that are left out here.
for set in coco clothing car_parts; do
    taught=$(python - "$data/$set/instances.json" "${left_out[$set]}" "$set" <<'PYTHON'
import json, sys
from referent.evaluation.selection import VOC
names = [category["name"].replace("_", " ") for category in json.load(open(sys.argv[1]))["categories"]]
print(",".join(n for n in names if n not in sys.argv[2].split(",") and (sys.argv[3] != "coco" or n in VOC)))
PYTHON
    )
    for asked in "$model:unirefpp-pocket" cris-pocket:cris-pocket; do
        referent evaluate "${asked%:*}" "$data/$set/instances.json" --split val --class-names --kind name --where "name=$taught" \
            --protocol referent-masks --out "$results/unirefpp-pocket-taught-$set-${asked##*:}.json"
    done
done

for set in coco clothing car_parts; do
    shots 1 "$set"
    shots 5 "$set"
    # Five examples cannot be had of all classes: one example of those that they can be had of.
    of_five=$(classes_of "$results/unirefpp-pocket-shots-$set-5.json")
    [ "$of_five" = "$(classes_of "$results/unirefpp-pocket-shots-$set-1.json")" ] || shots 1 "$set" "$of_five" 1-of-those
done
# The DeepLabV3 that the image encoder comes from has seen masks of four of coco's.
shots 1 coco "banana,broccoli,cell phone,frisbee,keyboard,mouse,sink,stop sign,toaster" 1-outside-voc
# Sequences that it was not trained on: by first mask; by phrase with its own masks as memory; by phrase alone. cris-pocket sees every frame by itself.
videos=(--split train --where video=bear,boat,bus,dance-jump,dog-agility)
referent evaluate "$model" "$data/davis2016" "${videos[@]}" --out "$results/unirefpp-pocket-videos-mask.json"
referent evaluate "$model" "$data/davis2016" "${videos[@]}" --dtype bf16 --out "$results/unirefpp-bf16-videos-mask.json"
referent evaluate "$model" "$data/davis2016" "${videos[@]}" --reference phrase --procedure referent --out "$results/unirefpp-pocket-videos-phrase.json"
referent evaluate "$model" "$data/davis2016" "${videos[@]}" --reference phrase --procedure ref-davis \
    --out "$results/unirefpp-pocket-videos-phrase-alone.json"
referent evaluate cris-pocket "$data/davis2016" "${videos[@]}" --reference phrase --out "$results/pocket-videos-phrase.json"
