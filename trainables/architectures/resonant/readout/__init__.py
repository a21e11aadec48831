"""From memory to logits."""
