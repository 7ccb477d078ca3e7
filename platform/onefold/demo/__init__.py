"""The demo: a retailer's year from a public package, and generated silos that surround it."""
