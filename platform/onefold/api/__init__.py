"""The results API: one file a resource, thin over `onefold.serving` and the ledger. HTTP is known here alone."""
