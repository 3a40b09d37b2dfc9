"""Expressions to boxes by way of proposals: proposals, their isolation, their scores, and the answer."""
