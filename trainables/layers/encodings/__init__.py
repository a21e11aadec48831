"""How attention learns of positions: rotations, biases and vectors, for every model that has attention."""
