"""Where each published data set comes from, under what terms, and how it lies on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
        name: of its folder.
        title: as its paper writes it.
        files: what its folder holds.
        url: where to get them now.
        original: where they were published, when that place is gone.
        sha256: of the file at `url`, None where nobody of this project has had it in hands.
        pictures: a key of `PICTURES`.
        licence: as its place of publication states it.
    """

    name: str
    title: str
    files: tuple[str, ...]
    url: str
    pictures: str
    licence: str
    original: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class PictureSource:
    """Pictures that several data sets share; attributes as of `Source`."""

    title: str
    url: str
    licence: str
    sha256: str | None = None


_ARCHIVED = "https://web.archive.org/web/{}/https://bvisionweb1.cs.unc.edu/licheng/referit/data/{}"
_GONE = "https://bvisionweb1.cs.unc.edu/licheng/referit/data/{}"
_REFER = "Apache-2.0 (the refer toolbox); COCO's annotations CC BY 4.0"

PICTURES: Mapping[str, PictureSource] = {
    "coco-train2014": PictureSource(
        "COCO train2014",
        "http://images.cocodataset.org/zips/train2014.zip",
        "each photograph its own, by Flickr's terms",
    ),
    "coco-trainval2014": PictureSource(
        "COCO train2014 and val2014",
        "http://images.cocodataset.org/zips/train2014.zip and http://images.cocodataset.org/zips/val2014.zip",
        "each photograph its own, by Flickr's terms",
    ),
    "gta": PictureSource(
        "GTA V frames",
        "https://drive.google.com/open?id=1pcdwA--xSAkbsOwjqhhyXMRZH7_sjQXU",
        "non-commercial and research uses",
    ),
    "visual-genome": PictureSource(
        "Visual Genome 1.2, parts 1 and 2",
        "https://visualgenome.org/api/v0/api_home.html",
        "CC BY 4.0",
    ),
}

SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(
            "refcoco",
            "RefCOCO",
            ("refs(unc).p", "refs(google).p", "instances.json"),
            _ARCHIVED.format("20220413011718", "refcoco.zip"),
            "coco-train2014",
            _REFER,
            original=_GONE.format("refcoco.zip"),
        ),
        Source(
            "refcoco+",
            "RefCOCO+",
            ("refs(unc).p", "instances.json"),
            _ARCHIVED.format("20220413011656", "refcoco+.zip"),
            "coco-train2014",
            _REFER,
            original=_GONE.format("refcoco+.zip"),
        ),
        Source(
            "refcocog",
            "RefCOCOg",
            ("refs(umd).p", "refs(google).p", "instances.json"),
            _ARCHIVED.format("20220413012904", "refcocog.zip"),
            "coco-train2014",
            _REFER,
            original=_GONE.format("refcocog.zip"),
        ),
        Source(
            "grefcoco",
            "gRefCOCO",
            ("grefs(unc).json", "instances.json"),
            "https://github.com/henghuiding/gRefCOCO",
            "coco-train2014",
            "none stated there",
        ),
        Source(
            "ref-zom",
            "Ref-ZOM",
            ("refs(final).p", "instances.json"),
            "https://github.com/toggle1995/RIS-DMMI (rename Ref-ZOM(final).p to refs(final).p)",
            "coco-trainval2014",
            "none stated there",
        ),
        Source(
            "refgta",
            "RefGTA",
            ("refs(utokyo).p", "instances.json"),
            "https://github.com/mikittt/easy-to-understand-REG/tree/master/pyutils/refer2",
            "gta",
            "none stated for the annotations",
        ),
        Source(
            "phrasecut",
            "PhraseCut",
            ("refer_train.json", "refer_val.json", "refer_test.json", "image_data_split3000.json"),
            "https://github.com/ChenyunWu/PhraseCutDataset",
            "visual-genome",
            "none stated there",
        ),
    )
}


def source_of(folder: str) -> Source | None:
    """The data set whose folder has this name; PhraseCut's own downloader makes `VGPhraseCut_v0`."""
    name = folder.lower()
    return SOURCES.get("phrasecut" if "phrasecut" in name else name)


def where_to_get_pictures(folder: str) -> str:
    """One line for a message."""
    source = source_of(folder)
    if source is None:
        return "from where the data set was published; most use COCO train2014, " + PICTURES["coco-train2014"].url
    pictures = PICTURES[source.pictures]
    return f"{pictures.title}, {pictures.url}"
