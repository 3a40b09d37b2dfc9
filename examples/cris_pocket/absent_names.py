"""Phrases that are true of nothing, for photographs whose annotation vouches for few classes.

    python examples/cris_pocket/absent_names.py DATA OUT.jsonl

A file of cats says nothing about dogs, so `referent describe` does not either. What each of these collections shows is
known, though: there is no elephant in front of a car dealer's wall. Names that a collection could show by chance are
left out for it.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

PHRASES_A_PICTURE = 6
PICTURES_A_FOLDER = 15

RARE = (
    "elephant,giraffe,zebra,bear,sheep,cow,horse,airplane,train,boat,bus,fire hydrant,stop sign,parking meter,"
    "pizza,donut,hot dog,broccoli,carrot,banana,surfboard,skis,snowboard,tennis racket,baseball bat,frisbee,kite,"
    "microwave,oven,toaster,refrigerator,toilet,sink,wine glass,hair drier,toothbrush,scissors,keyboard,remote,"
    "teddy bear,cake,sandwich,jet,fridge,aeroplane,doughnut"
).split(",")
INDOORS = "laptop,tv,television,bed,couch,sofa,bowl,fork,knife,spoon,vase,apple,orange,cup,bottle,book,clock".split(",")
ANIMALS = "cat,dog,bird,kitten,puppy".split(",")
STREET = "bicycle,motorcycle,bench,umbrella,backpack,handbag,suitcase,skateboard,potted plant,chair".split(",")

SETS = {
    "car_parts": RARE + INDOORS + ANIMALS + STREET[:8],
    "clothing": RARE + INDOORS[:6] + ["cat", "kitten"],
    "cats": [*RARE, "laptop", "tv", "dog", "puppy", "motorcycle", "airplane", "wine glass"],
    "people": RARE[:32],
}
# Folders of single things on plain ground, with the names that come too near to them.
FOLDERS = {
    "accordion": "",
    "anchor": "",
    "barrel": "",
    "bonsai": "potted plant,vase",
    "brain": "",
    "buddha": "",
    "butterfly": "kite",
    "camera": "",
    "ceiling_fan": "",
    "cellphone": "remote,keyboard",
    "chandelier": "",
    "crab": "",
    "cup": "cup,bowl,vase,wine glass,bottle",
    "dollar_bill": "book",
    "dragonfly": "kite,airplane,aeroplane,jet",
    "electric_guitar": "",
    "ewer": "vase,cup,bottle,wine glass,bowl",
    "gramophone": "",
    "grand_piano": "keyboard",
    "headphone": "",
    "helicopter": "airplane,aeroplane,jet",
    "inline_skate": "skateboard",
    "lamp": "",
    "laptop": "laptop,tv,television,keyboard",
    "lobster": "",
    "mandolin": "",
    "menorah": "",
    "metronome": "clock",
    "minaret": "",
    "pizza": "pizza,cake,sandwich",
    "pyramid": "",
    "revolver": "hair drier",
    "saxophone": "",
    "scorpion": "",
    "sea_horse": "horse",
    "soccer_ball": "",
    "stapler": "",
    "starfish": "",
    "strawberry": "apple",
    "sunflower": "potted plant",
    "umbrella": "umbrella,kite",
    "watch": "clock",
    "wheelchair": "chair,bicycle,motorcycle",
    "wrench": "",
    "yin_yang": "",
}
FORMS = (
    *("{}", "{}", "the {}", "the {}", "a {}", "{} on the left", "the {} on the right", "left {}", "small {}"),
    *("the biggest {}", "the red {}", "black {}", "the {} in the middle"),
)


def lines(picture: Path, names: list[str]) -> list[dict[str, object]]:
    """Some phrases about one picture, always the same for the same picture."""
    draw = random.Random(f"{picture.parent.name}/{picture.name}")
    return [
        {
            "id": f"absent/{picture.parents[1].name}/{picture.parent.name}/{picture.name}/{number}",
            "image": str(picture.resolve()),
            "phrase": draw.choice(FORMS).format(name),
            "mask": None,
            "split": "train",
            "tags": {"kind": "none", "name": name, "why": "class"},
        }
        for number, name in enumerate(draw.sample(names, PHRASES_A_PICTURE))
    ]


def main() -> None:
    """Write one JSON line a phrase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    found: list[dict[str, object]] = []
    for folder, names in SETS.items():
        images = json.loads((arguments.data / folder / "instances.json").read_text())["images"]
        for image in images:
            if image["split"] == "train":
                found += lines(arguments.data / folder / "images" / image["file_name"], names)
    everything = RARE + INDOORS + ANIMALS + STREET
    for folder, near in FOLDERS.items():
        names = [name for name in everything if name not in near.split(",")]
        for picture in sorted((arguments.data / "caltech101" / folder).glob("*.jpg"))[:PICTURES_A_FOLDER]:
            found += lines(picture, names)
    arguments.out.write_text("".join(json.dumps(line) + "\n" for line in found))
    print(f"{len(found)} phrases in {arguments.out}")


if __name__ == "__main__":
    main()
