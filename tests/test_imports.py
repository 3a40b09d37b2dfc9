from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import referent

HEAVY = ("torch", "transformers", "pycocotools", "scipy", "pydantic", "huggingface_hub", "safetensors", "numpy", "PIL")


def modules_after(code: str) -> set[str]:
    """Names of all modules that a fresh Python holds after running `code`."""
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('MODULES', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.splitlines()[-1].split())


def test_importing_referent_loads_nothing_heavy() -> None:
    assert not modules_after("import referent") & {*HEAVY, "typer", "rich"}


def test_the_reference_types_need_no_torch() -> None:
    assert "torch" not in modules_after("import referent as rf; rf.Phrase('the cat'); rf.list_models()")


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["train", "--help"], ["models"]])
def test_help_and_the_table_of_models_load_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['referent', *{arguments!r}]\n"
        "from referent.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not modules_after(code) & {"torch", "transformers", "pycocotools", "scipy"}


def test_models_never_import_each_other() -> None:
    folder = Path(referent.__file__).parent / "models"
    names = {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    assert "cris" in names
    for path in folder.rglob("*.py"):
        own = path.relative_to(folder).parts[0]
        imported = set(re.findall(r"referent\.models\.(\w+)", path.read_text())) & names
        assert imported <= {own}, path


def test_every_public_name_is_there() -> None:
    for name in referent.__all__:
        assert getattr(referent, name) is not None
    assert set(referent.__all__) <= set(dir(referent))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        referent.nonsense  # noqa: B018


def test_what_load_and_look_at_return_is_public() -> None:
    returned = {get_type_hints(asked)["return"] for asked in (referent.load, referent.Segmenter.from_pretrained)}
    assert returned == {referent.AnySegmenter, referent.Segmenter}
    assert referent.AnySegmenter.look_at.__annotations__["return"] == referent.AnyLook.__name__
