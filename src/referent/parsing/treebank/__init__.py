"""From a Universal Dependencies treebank to what a parser of referring phrases learns from."""
