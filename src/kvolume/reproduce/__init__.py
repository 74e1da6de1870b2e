"""The papers again: their experiments beside ours, and an adversary that attacks every guarantee."""
