"""Commands that only print: ls, show, lineage, verify. Their answer goes to stdout."""
