"""The client of a Trialmesh node: send data, watch its loads, look up reference data.

Start from Client. Errors are of TrialmeshError; a ProblemError is a refusal by the node,
a NetworkError says that nobody answered.
"""

from .auth import BackendService
from .client import Client, Listing
from .errors import FileChangedError, NetworkError, OAuthError, ProblemError, TrialmeshError, WaitTimeoutError
from .keys import new_key, public_keys
from .models import CodeEntry, Job, Observation, PartialUpload, Problem, Series, Status, Unit, UnmappedCode, Upload, Variable, Version
from .models import ReportLoad as LoadReport, ReportReport as QualityReport

__all__ = [
    "BackendService", "Client", "CodeEntry", "FileChangedError", "Job", "Listing", "LoadReport", "NetworkError", "OAuthError",
    "Observation", "PartialUpload", "Problem", "ProblemError", "QualityReport", "Series", "Status", "TrialmeshError", "Unit",
    "UnmappedCode", "Upload", "Variable", "Version", "WaitTimeoutError", "new_key", "public_keys",
]
