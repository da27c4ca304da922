"""How one synthetic street is made: lay it out, cast rays, light it, and spoil like a stereo pair."""
