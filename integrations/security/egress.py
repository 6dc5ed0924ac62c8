class Egress:
    @classmethod
    def from_settings(cls) -> "Egress":
        return cls()

    def check_url(self, url: str) -> None:
        """Raise EgressBlocked."""
