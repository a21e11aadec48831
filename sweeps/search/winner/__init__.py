"""What is made from the winner of a search: an ablation of it, and the path that leads to it."""
