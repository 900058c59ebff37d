"""Proof of a fix: compile before and after, load both into the running kernel, compare. Nothing is ever attached."""


class CannotVerify(Exception):
    """Nothing at all can be verified here: `reason` says why, `cure` what to install or allow. Told once a run."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"cannot verify: {reason}; {cure}")
        self.reason = reason
        self.cure = cure
