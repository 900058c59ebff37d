"""The strategies that are installed, found through the entry point group `ebpffix.strategies`."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ebpffix.repair.model import Candidate, Proposer, Refusal, Strategy


@dataclass(frozen=True)
class Known:
    """A strategy that was found, with its generator and its page."""

    facts: Strategy
    propose: Proposer
    page: str

    @functools.cached_property
    def _when(self) -> re.Pattern[str]:
        return re.compile(self.facts.when)

    def is_about(self, message: str) -> bool:
        """Whether it has a cure for a verifier's message, as far as that tells."""
        return bool(self._when.search(message))

    def candidates(self, refusal: Refusal) -> Iterator[Candidate]:
        """What it proposes for a refusal, under its name; nothing for a message that is not its own. A mistake in one
        strategy must not cost what others know."""
        if self.is_about(refusal.message):
            with contextlib.suppress(Exception):
                for candidate in self.propose(refusal):
                    yield replace(candidate, strategy=self.facts.name)


@functools.cache
def load_strategies() -> dict[str, Known]:
    """All installed strategies by name, in their order.

    An entry point names one module, or a package of which each module is a strategy. Raises ValueError, naming the
    entry point, for a module that does not keep the contract.
    """
    from importlib.metadata import entry_points

    from ebpffix.transform import walked

    found: list[Known] = []
    for point in entry_points(group="ebpffix.strategies"):
        for module in walked(point.load(), "STRATEGY"):
            facts, propose = getattr(module, "STRATEGY", None), getattr(module, "propose", None)
            if not isinstance(facts, Strategy) or not callable(propose):
                raise ValueError(f"entry point {point.name} ({module.__name__}) has no STRATEGY and propose()")
            found.append(Known(facts, propose, (module.__doc__ or "").strip()))
    found.sort(key=lambda known: (known.facts.order, known.facts.name))
    return {known.facts.name: known for known in found}
