"""What a question gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import extras, tables
from .withheld import Refusal, called, refusals

if TYPE_CHECKING:
    import pandas
    import pyarrow


class Answer:
    """A question as the hub shows it, with its result once there is one.

    ``json`` is all that the hub said; ``result`` the public result in it, empty while the
    question is open. Its numbers come as tables: the cells of a count or of means, the
    coefficients of a model.
    """

    def __init__(self, json: Mapping[str, Any], sites: Mapping[str, str] | None = None) -> None:
        self.json: dict[str, Any] = dict(json)
        self._sites = dict(sites or {})  # organizations by their nodes' keys

    @property
    def id(self) -> str:
        """The question's id, 64 hex digits. Cite the answer by it."""
        return str(self.json["id"])

    @property
    def state(self) -> str:
        """``open``, ``complete``, ``partial`` (some nodes are missing) or ``withheld``."""
        return str(self.json["state"])

    @property
    def rounds(self) -> int:
        """Sums over the nodes that were begun, of a method in rounds."""
        return int(self.json.get("rounds", 0))

    @property
    def waiting(self) -> list[str]:
        """The nodes whose people have to approve the question first."""
        return list(self.json.get("waiting", []))

    @property
    def result(self) -> dict[str, Any]:
        """The public result, as it stands on the ledger."""
        return dict(self.json.get("result") or {})

    @property
    def total(self) -> dict[str, Any] | None:
        """The cell over all cells that were released; not the size of the cohort."""
        return self.result.get("total")

    @property
    def model(self) -> dict[str, Any] | None:
        """A fitted regression: n, coefficients, deviance, aic and so on."""
        return self.result.get("regression")

    @property
    def refusals(self) -> list[Refusal]:
        """The nodes that are not in the result, and why."""
        return refusals(self.result, self._sites)

    @property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Every table of the result by its name, as rows; see to_pandas."""
        strata = self.json.get("request", {}).get("analysis", {}).get("by") or []
        return tables.of(self.result, strata)

    def rows(self, table: str | None = None) -> list[dict[str, Any]]:
        """The rows of a table by its name, or of the first. A number that is withheld, or
        that does not exist, is None."""
        found = self.tables
        if table is None:
            return next(iter(found.values()), [])
        if table not in found:
            raise KeyError(f"the result has no table {table}; it has {', '.join(found) or 'none'}")
        return found[table]

    def to_pandas(self, table: str | None = None) -> pandas.DataFrame:
        """A table as a data frame: the strata, then the numbers. Counts are Int64, so that
        a withheld one is <NA> and no number."""
        try:
            import pandas
        except ImportError:
            raise extras.missing("this needs the package pandas", "pandas") from None
        columns = tables.columns(self.rows(table))
        return pandas.DataFrame({
            name: pandas.array(column, dtype="Int64") if tables.whole(column) else column for name, column in columns.items()
        })

    def to_arrow(self, table: str | None = None) -> pyarrow.Table:
        """A table for Arrow, of the same rows."""
        try:
            import pyarrow
        except ImportError:
            raise extras.missing("this needs the package pyarrow", "arrow") from None
        return pyarrow.Table.from_pylist(self.rows(table))

    def __str__(self) -> str:
        text = f"question {self.id[:12]} is {self.state}"
        if not self.result:
            if self.waiting:
                return text + ", waits for approval at " + ", ".join(called(node, self._sites.get(node)) for node in self.waiting)
            return text + (f", round {self.rounds}" if self.rounds else "")
        text += f", {len(self.result.get('answered', []))} nodes answered"
        if repeats := self.result.get("repeats"):
            text += f", the answer to {repeats[:12]} again"
        return text

    def __repr__(self) -> str:
        return f"<Answer {self.id[:12]} {self.state}>"
