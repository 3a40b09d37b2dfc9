#!/usr/bin/env bash
# The tables of cris-pocket once more, for magnet-pocket: evaluate.sh DATA, after ../cris_pocket/train.sh wrote work/*/phrases.json.
set -euo pipefail
"$(dirname "$0")/../cris_pocket/evaluate.sh" "${1:?DATA: folder with coco, clothing, car_parts, cats and people}" \
    "${2:-magnet-pocket}" magnet-pocket
