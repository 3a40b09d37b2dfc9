"""Names and the CLIP text vectors that the pocket text tower is aimed at.

    python examples/cris_pocket/text_vectors.py TEXT OUT.safetensors

TEXT holds Detic's tables of CLIP ViT-B/32 text features of "a <name>" (LVIS, Objects365, COCO) and their name lists.
The vectors are normalised, centred on the LVIS mean (CLIP's text space is a narrow cone) and normalised again.
OUT holds `vectors` (V, 512) float16, `vector_of` (T,) int64 and, in its metadata, the T texts as JSON: every name and
synonym (kind "name"), every LVIS definition (kind "definition") and every referring expression in TEXT that begins with
a known name or soon comes to one (kind "expression", aimed at that name's vector).
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

COCO = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")


# Everyday words for what the tables call otherwise.
EVERYDAY = {
    "person": "people,guy,guys,man,men,woman,women,lady,ladies,dude,gentleman,kid,kids,boy,girl,child,children,human,"
    "somebody,someone,player,rider,pedestrian,figure,adult,teenager,chick,batter,catcher,skier,surfer,skateboarder",
    "cat": "kitty,kitten,kitties,feline,tomcat,tabby", "dog": "doggy,puppy,pup,hound,canine",
    "couch": "sofa,settee,loveseat", "tv": "television,telly,tv screen,monitor",
    "cell phone": "phone,mobile,smartphone",
    "airplane": "plane,aeroplane,jet,aircraft", "motorcycle": "motorbike,moped,bike", "bicycle": "bike,cycle,push bike",
    "refrigerator": "fridge", "donut": "doughnut", "car": "automobile,sedan,vehicle", "laptop": "notebook computer",
    "dining table": "table", "potted plant": "plant,houseplant", "sheep": "lamb,ewe", "cow": "cattle,calf,bull",
    "horse": "pony,stallion,mare", "bird": "birdie,fowl", "boat": "ship,vessel", "handbag": "purse",
    "wine glass": "goblet,stemware", "truck": "lorry,pickup", "hair drier": "blow dryer,hair dryer",
}  # fmt: skip


def readable(name: str) -> str:
    """ "mixer_(kitchen_tool)" to "mixer", "Cabinet/shelf" to "cabinet"."""
    return re.sub(r"\s*\(.*?\)", "", name.replace("_", " ")).split("/")[0].strip().lower()


def sentences(folder: Path) -> list[str]:
    """Referring expressions that people wrote."""
    found: list[str] = []
    for name in ("sample_expressions_testA", "sample_expressions_testB"):
        predictions = json.loads((folder / f"{name}.json").read_text())["predictions"]
        found += [prediction["sent"].lower() for prediction in predictions]
    videos = json.loads((folder / "refytvos_meta_expressions_valid_test.json").read_text())["videos"]
    return found + [entry["exp"].lower() for video in videos.values() for entry in video["expressions"].values()]


def head(sentence: str, row_of: dict[str, int]) -> int | None:
    """Row of the first known name among the first five words, two-word names first; None where there is none."""
    words = re.findall(r"[a-z]+", sentence)
    for place in range(min(5, len(words))):
        for length in (2, 1):
            row = row_of.get(" ".join(words[place : place + length]))
            if row is not None and words[place] not in ("orange", "left", "right", "top"):
                return row
    return None


def collect(folder: Path) -> tuple[np.ndarray, list[tuple[str, int, str]]]:
    """All vectors, and (text, row, kind) of everything that should land on them."""
    lvis = sorted(json.loads((folder / "lvis_v1_train_cat_info.json").read_text()), key=lambda row: row["id"])
    with (folder / "Objects365_names_fix.csv").open() as stream:
        objects365 = [row[1] for row in csv.reader(stream)]
    tables = [np.load(folder / f"{name}.npy").astype(np.float32)
              for name in ("coco_clip_a+cname", "lvis_v1_clip_a+cname", "o365_clip_a+cnamefix")]  # fmt: skip
    texts = [(name, row, "name") for row, name in enumerate(COCO)]
    first = len(COCO)
    for row, entry in enumerate(lvis, first):
        texts += [(readable(synonym), row, "name") for synonym in entry["synonyms"]]
        texts.append((entry["def"], row, "definition"))
    first += len(lvis)
    texts += [(readable(name), row, "name") for row, name in enumerate(objects365, first)]
    texts[len(COCO) : len(COCO)] = [
        (word, COCO.index(name), "name") for name, words in EVERYDAY.items() for word in words.split(",")
    ]
    row_of = {text: row for text, row, kind in reversed(texts) if kind == "name"}
    texts += [
        (sentence, row, "expression") for sentence in sentences(folder) if (row := head(sentence, row_of)) is not None
    ]
    seen: dict[str, tuple[str, int, str]] = {}
    for text in texts:  # one text has one vector; COCO's own comes first
        seen.setdefault(text[0], text)
    vectors = np.concatenate([table / np.linalg.norm(table, axis=1, keepdims=True) for table in tables])
    vectors -= vectors[len(COCO) : len(COCO) + len(lvis)].mean(0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), list(seen.values())


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    vectors, texts = collect(arguments.text)
    save_file(
        {"vectors": torch.from_numpy(vectors).half(), "vector_of": torch.tensor([row for _, row, _ in texts])},
        arguments.out,
        {"texts": json.dumps([text for text, _, _ in texts]), "kinds": json.dumps([kind for _, _, kind in texts])},
    )
    print(f"{len(texts)} texts, {len(vectors)} vectors in {arguments.out}")


if __name__ == "__main__":
    main()
