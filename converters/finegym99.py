"""FineGym, the 99 classes of Gym99: official element lists joined with poses of others.

Both sets are read and written alike; what differs stands in their cards.
"""

from skelbench.formats.finegym import plan, read, write, write_shared

__all__ = ["plan", "read", "write", "write_shared"]
