"""One folder a published system. They see tensors only and never import each other."""
