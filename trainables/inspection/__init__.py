"""A model under inspection: its loss by position, where it attends, and what a long sequence costs it."""
