"""The variants that ETRIS's appendix names, as we read it: boxes and labels beside masks.

The third one, semantic segmentation, needs no module: it is the model asked with all class names (`referent.by_class`).
"""
