"""What every part of the service may read: settings and service level objectives."""
