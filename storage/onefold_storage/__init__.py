"""The memory: the lake, data contracts, landing and the ledger."""
