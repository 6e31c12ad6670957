"""From the raw tables of a catalogue to a commented conf folder: what is what, and which options fit its size."""

from tailor.onboarding.conf import check_name, write_conf
from tailor.onboarding.propose import Proposal, propose
from tailor.onboarding.tables import RawTable, read_table

__all__ = ["Proposal", "RawTable", "check_name", "propose", "read_table", "write_conf"]
