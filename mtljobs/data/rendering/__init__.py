"""How painted solids become a picture with exact geometry, and how a camera spoils it."""
