"""How one synthetic street is made: lay it out, light it, spoil it like a stereo pair."""
