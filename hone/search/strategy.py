"""What every search strategy is: a pure function from history to the next trials."""

from abc import ABC, abstractmethod

from hone.trial import History, Trial


class Strategy(ABC):
    """Proposes trials. Subclasses are final, frozen dataclasses, one per file."""

    @abstractmethod
    def ask(self, history: History) -> list[Trial]:
        """Return the next generation of trials; an empty list means that the study is finished.

        Pure: the same strategy and history give the same trials, on any machine, at any time. `history` holds
        this study's generations only, whole and in order; what former phases found is a field of the strategy.
        Trials are numbered onwards from the history's last one and carry ``generation=len(history)``.
        """
