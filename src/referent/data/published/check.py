"""What of the published data sets lies in a folder, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from referent.data.published.counts import COUNTS, Count
from referent.data.published.layout import Layout, find_layout
from referent.data.published.opening import read_all
from referent.data.published.pictures import Pictures
from referent.data.published.sources import SOURCES, Source, source_of
from referent.data.sample import Dataset, Sample
from referent.errors import DataError, PictureError
from referent.picture import picture_size


@dataclass(frozen=True)
class Split:
    """What one split holds, and what it should hold.

    Attributes:
        name: of the split.
        found: counted here; refs None where the data set has none.
        published: None where nobody says.
    """

    name: str
    found: Count
    published: Count | None

    @property
    def as_published(self) -> bool | None:
        """Whether all published counts are met; None where there are none."""
        if self.published is None:
            return None
        pairs = [(getattr(self.found, key), getattr(self.published, key)) for key in ("refs", "sentences", "pictures")]
        return all(found == published for found, published in pairs if published is not None)


@dataclass(frozen=True)
class Finding:
    """One data set, in one splitting.

    Attributes:
        path: its refs file, or its folder.
        source: which data set it is, by the name of its folder; None for one that is not published under that name.
        splits: what it holds; empty where it cannot be read.
        error: why it cannot be read.
        missing: pictures that are not there.
        pictures: how many it is about.
        other: pictures that cannot be read or have another size than the annotations say, with what is wrong.
        places: where pictures were looked for.
    """

    path: Path
    source: Source | None
    splits: tuple[Split, ...] = ()
    error: str | None = None
    missing: tuple[Path, ...] = ()
    pictures: int = 0
    other: tuple[str, ...] = ()
    places: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def whole(self) -> bool:
        """Nothing is missing, damaged, or other than published."""
        differs = any(split.as_published is False for split in self.splits)
        return not (self.error or self.missing or self.other or differs)


def check(root: Path, pictures: Path | None = None) -> Iterator[Finding]:
    """Every data set in `root`, or `root` itself where it is one; each is read whole.

    Args:
        root: a folder of data sets (`refcoco`, `refcocog`, ...), or one of them.
        pictures: folder of the pictures, instead of the documented places.

    Raises:
        DataError: `root` is no folder.
    """
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder, found " + ("a file" if root.exists() else "nothing"))
    sizes: dict[Path, str | tuple[int, int]] = {}
    own = find_layout(root)
    for folder in [root] if own else sorted(item for item in root.iterdir() if item.is_dir()):
        layout = find_layout(folder)
        source = source_of(folder.resolve().name)
        if layout is None:
            if source is not None:
                error = f"expected {', '.join(source.files)}, found none of them"
                yield Finding(folder, source, error=error)
            continue
        whole = [Layout(folder, layout.kind, {name: file}) for name, file in layout.files.items()]
        for one in [layout] if layout.kind == "phrasecut" else whole:
            yield _checked(one, source, Pictures(folder, pictures), sizes)


def absent(root: Path) -> list[Source]:
    """The published data sets of which `root` has no folder; none of them where `root` is a data set itself."""
    if find_layout(root):
        return []
    folders = (item.name for item in root.iterdir() if item.is_dir())
    there = {source.name for name in folders if (source := source_of(name)) is not None}
    return [source for source in SOURCES.values() if source.name not in there]


def _checked(
    layout: Layout, source: Source | None, pictures: Pictures, sizes: dict[Path, str | tuple[int, int]]
) -> Finding:
    variant = "" if layout.kind == "phrasecut" else next(iter(layout.files))
    path = layout.files.get(variant, layout.folder)
    try:
        dataset = read_all(layout, None, pictures)
    except DataError as error:
        return Finding(path, source, error=str(error))
    published = COUNTS.get((source.name, variant), {}) if source else {}
    named = {sample.picture: sample.size for sample in dataset.samples}
    return Finding(
        path=path,
        source=source,
        splits=tuple(_splits(dataset, published)),
        missing=tuple(sorted(pictures.missing)),
        pictures=len(named),
        other=tuple(_other(named, pictures.missing, sizes)),
        places=tuple(pictures.places),
    )


def _splits(dataset: Dataset, published: Mapping[str, Count]) -> Iterator[Split]:
    by_name: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        by_name.setdefault(sample.split, []).append(sample)
    for name in [*by_name, *(name for name in published if name not in by_name)]:
        samples = by_name.get(name, [])
        refs = {sample.tags["ref"] for sample in samples if "ref" in sample.tags}
        pictures = len({sample.picture for sample in samples})
        found = Count(len(refs) if refs else None, len(samples), pictures, "counted here")
        yield Split(name, found, published.get(name))


def _other(
    named: dict[Path, tuple[int, int]], missing: set[Path], sizes: dict[Path, str | tuple[int, int]]
) -> Iterator[str]:
    """What is wrong with pictures that are there; `sizes` remembers what several data sets share."""
    for path, size in named.items():
        if path in missing:
            continue
        if path not in sizes:
            try:
                sizes[path] = picture_size(path)
            except PictureError as error:
                sizes[path] = str(error)
        found = sizes[path]
        if isinstance(found, str):
            yield found
        elif found != size:
            yield f"{path}: {found[1]} x {found[0]}, the annotations say {size[1]} x {size[0]}"
