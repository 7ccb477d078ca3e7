"""The commands of `onefold`, one module a subject."""
