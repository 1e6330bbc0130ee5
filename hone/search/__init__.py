"""Search strategies: each proposes trials from a history, and keeps no other state."""
