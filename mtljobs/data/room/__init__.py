"""How one synthetic room is made: furnish, cast rays, paint, and spoil like a sensor."""
