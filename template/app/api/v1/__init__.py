"""Version 1 of the API."""

from fastness.versioning import Version

from app.api.v1.endpoints import whoami

# feature: example
from app.api.v1.endpoints.deliveries import router as deliveries
from app.api.v1.endpoints.endpoints import router as endpoints
from app.api.v1.endpoints.events import router as events

# /feature: example

router = Version("v1").router(tags=[])
router.include_router(whoami.router)
# feature: example
router.include_router(endpoints)
router.include_router(events)
router.include_router(deliveries)
# /feature: example
