"""From poses to person × frame: named steps on one sample, and the prepared set that batches are cut from."""

from skelbench.prepare.prepared import Prepared
from skelbench.prepare.run import check_prepare, mappings_of, person_slots, prepare, prepared_layout
from skelbench.prepare.sets import PreparedSet, prepare_set

__all__ = [
    "Prepared",
    "PreparedSet",
    "check_prepare",
    "mappings_of",
    "person_slots",
    "prepare",
    "prepare_set",
    "prepared_layout",
]
