"""The face: command line, results API, pages and the demo."""
