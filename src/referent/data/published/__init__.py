"""Published data sets, read in the layout in which their authors publish them: no conversion, no preparation."""
