"""Problem sets, answer kinds, keys and graders."""
