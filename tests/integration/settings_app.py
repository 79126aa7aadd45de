"""A service that cannot start without its settings; started by the tests."""

from fastapi import FastAPI
from pydantic import SecretStr

from fastness.settings import ServiceSettings


class Settings(ServiceSettings):
    """The settings of the service."""

    signing_key: SecretStr = SecretStr("the-key-of-every-developer")
    port_of_something: int = 1


settings = Settings()
app = FastAPI(title=settings.environment)
