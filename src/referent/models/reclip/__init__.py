"""ReCLIP (Subramanian et al. 2022): zero-shot, from an expression and proposals to one of the proposals."""
