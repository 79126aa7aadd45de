"""What the service is about. It knows neither HTTP nor SQL: those live in `api` and `infra` and depend on this package."""
