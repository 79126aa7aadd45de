"""Signing secrets at rest: encrypted, so that a copy of the database signs nothing."""

from cryptography.fernet import Fernet, MultiFernet


class Sealer:
    """Encrypts with the first key, decrypts with any: that is how a key is replaced.

    Args:
        keys: Fernet keys (32 bytes, base64url), the newest first, separated by commas.

    Raises:
        ValueError: a key is malformed; the text does not quote it.
    """

    def __init__(self, keys: str) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        except ValueError:
            raise ValueError(
                "an encryption key is not 32 bytes in base64url; make one with "
                "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`"
            ) from None

    def seal(self, text: str) -> str:
        """`text`, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """What was sealed.

        Raises:
            cryptography.fernet.InvalidToken: no key fits, or the text was changed.
        """
        return self._fernet.decrypt(sealed.encode("ascii")).decode()
