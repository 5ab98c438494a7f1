"""Programs for Trialmesh. Researchers start from Hub: ask the hospitals of a trial, read
the answers. Engineers of a site start from Client: send data to their node, watch its
loads, look up reference data.

Errors are of TrialmeshError; a ProblemError is a refusal by the hub or the node, a
NetworkError says that nobody answered, a WithheldError that nothing was released.
"""

from .analysis import columns_of, event, follow_up, measured, measurement, outcome
from .answer import Answer
from .auth import BackendService
from .client import Client, Listing
from .errors import FileChangedError, NetworkError, OAuthError, ProblemError, TrialmeshError, WaitTimeoutError
from .evidence import Check, EvidenceError
from .hub import Hub
from .identity import Key
from .keys import new_key, public_keys
from .ledger import LedgerError
from .models import CodeEntry, Job, Observation, PartialUpload, Problem, Series, Status, Unit, UnmappedCode, Upload, Variable, Version
from .models import ReportLoad as LoadReport, ReportReport as QualityReport
from .withheld import OpenError, Refusal, WithheldError

__all__ = [
    "Answer", "BackendService", "Check", "Client", "CodeEntry", "EvidenceError", "FileChangedError", "Hub", "Job", "Key", "LedgerError",
    "Listing", "LoadReport", "NetworkError", "OAuthError", "Observation", "OpenError", "PartialUpload", "Problem", "ProblemError",
    "QualityReport", "Refusal", "Series", "Status", "TrialmeshError", "Unit", "UnmappedCode", "Upload", "Variable", "Version",
    "WaitTimeoutError", "WithheldError", "columns_of", "event", "follow_up", "measured", "measurement", "new_key", "outcome",
    "public_keys",
]
