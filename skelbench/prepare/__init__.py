"""From poses to person × frame: named steps on one sample, and the prepared set that batches are cut from."""

from skelbench.prepare.prepared import Prepared
from skelbench.prepare.run import check_prepare, person_slots, prepare
from skelbench.prepare.sets import PreparedSet, prepare_set

__all__ = ["Prepared", "PreparedSet", "check_prepare", "person_slots", "prepare", "prepare_set"]
