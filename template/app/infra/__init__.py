"""Everything that the service holds: made here, opened in order by the lifespan, closed in reverse."""

from fastness.lifespan import Drain, Resource, Resources
from fastness.ratelimit import MemoryStore, Store

from app.core.config import Settings
from app.infra.auth import make_authenticator, make_keys

# feature: redis
from app.infra.cache.redis import RedisCache

# /feature: redis
from app.infra.db.database import make_database

# feature: example
from app.infra.relay import Relay

# /feature: example


class Infra:
    """The service's resources. Making it does no I/O.

    Attributes:
        resources: for the lifespan and for readiness.
        optional: names of those that the service can do without.
    """

    def __init__(self, settings: Settings) -> None:
        self.database = make_database(settings, application=settings.service_name)
        resources: list[Resource] = [self.database]
        self.optional: tuple[str, ...] = ()
        rate_limits: Store = MemoryStore()  # each process counts by itself
        # feature: redis
        if settings.redis_url is not None:
            cache = RedisCache(settings.redis_url.get_secret_value())
            resources.append(cache)
            self.optional = (cache.name,)  # requests are let through while it is away
            rate_limits = cache.rate_limits()
        # /feature: redis
        keys = make_keys(settings)
        if keys is not None:
            resources.append(keys)
        # feature: example
        self.relay = Relay(settings, self.database)
        resources.append(self.relay.jobs)
        # /feature: example
        delay = settings.drain_delay
        if delay is None:
            delay = 5.0 if settings.is_production else 0.0  # a balancer needs some seconds to notice
        state = {"infra": self, "authenticator": make_authenticator(settings, keys), "rate_limit_store": rate_limits}
        # feature: example
        state["idempotency_sealer"] = self.relay.answer_sealer
        # /feature: example
        self.resources = Resources(resources, drain=Drain(delay=delay), settle=settings.is_production, state=state)
