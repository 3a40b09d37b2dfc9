"""Few-shot segmentation: classes, the pictures that show them, and episodes that ask for a class by examples of it."""
