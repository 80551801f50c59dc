"""The operator's tools: clients of the protocol, of coordination and of the files on disk."""
