"""A page to look at what a model answered: chosen cases, their pictures with answer and truth, and the page itself."""
