"""Fill the tables of README, docs and model cards from result files; `--check` says whether they differ.

python benchmarks/tables.py [--check]
"""

import sys
from pathlib import Path

from referent.evaluation.tables import MARKER, main

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/*.md", "benchmarks/*.md", "src/referent/**/*.md")

if __name__ == "__main__":
    pages = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))
    marked = [str(page) for page in pages if MARKER.search(page.read_text(encoding="utf-8"))]
    sys.exit(main([*marked, "--root", str(ROOT), *sys.argv[1:]]) if marked else 0)
