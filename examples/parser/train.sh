#!/usr/bin/env bash
# From the treebank to the parser in the package: train.sh DATA. Files go to work/parser and runs/parser.
set -euo pipefail
data=${1:?DATA: folder with en_ewt-ud-{train,dev,test}.conllu.gz and lvis_v1_train_cat_info.json}
here=$(dirname "$0")

python "$here/prepare.py" "$data" work/parser
python -m spacy init fill-config "$here/config.cfg" work/parser/config.cfg
python -m spacy train work/parser/config.cfg --output runs/parser \
    --paths.train work/parser/train.spacy --paths.dev work/parser/dev.spacy
python "$here/ship.py" runs/parser/model-best src/referent/pocket/parser
python benchmarks/parser_quality.py "$data" --training work/parser/train.spacy --out benchmarks/results/parser.json
