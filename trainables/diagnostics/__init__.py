"""What an encoding of positions does, in closed form, and what a trained model makes of positions."""
