"""Names of secrets, and literals that are none. Used where a value or a log line could give one away."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"(?:^|_)(?:secret(?:_key)?|password|passwd|passphrase|pwd|api_?key|access_key|private_key|signing_key|encryption_key"
    r"|jwt_key|auth_token|access_token|refresh_token|bearer_token|session_secret|root_token|client_secret|credentials?"
    # A pass of something to log in to: `first_pass` and `test_pass` are none.
    r"|(?:db|database|postgres|pg|mysql|maria|mongo|redis|rabbit(?:mq)?|amqp|smtp|e?mail|s?ftp|ldap|admin|root)_pass)(?:_[a-z0-9]+)?$",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?:_name|_names|_header|_url|_uri|_path|_file|_field|_fields|_length|_min|_max|_regex|_patterns?|_words?|_keywords?|_prefix|_id|_ids|_ttl|_lifetime"
    r"|_expire\w*|_expiry|_minutes|_seconds|_days|_hours|_hash|_hashes|_hashed|_algorithm|_policy|_type|_enabled|_required|_reset|_context"
    r"|_count|_size|_scheme|_schemes|_env|_dir|_label|_title|_message|_error|_column|_format|_hint|_template|_endpoint|_provider"
    r"|_arn|_scope|_scopes|_audience|_key_id|_placeholder|_description|_help|_text|_manager|_version|_strategy|_class|_table|_method"
    r"|_cost|_valid|_exists|_rotation|_store|_backend|_engine|_mode|_detail|_details|_not_found|_invalid|_wrong|_mismatch|_query"
    r"|_rounds|_cookie|_generator|_encoding|_placeholder|_tag|_status|_namespace|_mount|_validation|_rule|_rules"
    r"|_strength|_directory|_iterations|_flag|_attribute|_root|_folder|_mask|_marker)$"
    r"|^_*(?:cookie_(?!\w*(?:secret|password))|placeholder_|redacted_|masked_|dummy_|fake_|invalid_|missing_)",
    re.IGNORECASE,
)
_OWN = frozenset({
    "jwt", "session", "sessions", "middleware", "cookie", "cookies", "csrf", "signing", "sign", "auth", "app", "token",
    "tokens", "hmac", "security", "access", "refresh", "encryption", "state", "user", "reset", "verification", "password",
})  # fmt: skip
_PLACEHOLDER = re.compile(
    r"^(?:<.*>|\{\{?.*\}?\}|\$\{.*\}|%\(.*\)s|\.{2,}|x{3,}|\*{3,}"
    r"|none|null|true|false|yes|no|string|str|bearer|token|password)$",
    re.IGNORECASE,
)
# The name of a variable or of a field, such as the key under which the secret is found.
_CONSTANT = re.compile(r"(?!YOUR|MY|CHANGE|REPLACE|SUPER|DEV)(?:__)?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?:__)?|\[\w+\]")
_REPLACED = re.compile(
    r"<.*>|\{\{?.*\}?\}|\$\{.*\}|(?:sk-)?(?:(?:enter|insert|put|replace|set)[-_ ](?:with[-_ ])?)?your[-_ ].*", re.IGNORECASE
)
_PUBLISHED = ("pk_live_", "pk_test_", "phc_")  # of Stripe and PostHog: they identify an account, and open nothing
_DSN = re.compile(r"^[a-z][a-z0-9+._]*://[^\s:/@{}]+:([^\s@/{}]+)@[^\s]+$", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<![a-z])(?:password|passwd|passphrase)(?![a-z])(?:_?\d)?(?=$|_)", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def names_secret(name: str) -> bool:
    """A variable, field or key of this name holds a secret."""
    snake = _CAMEL.sub("_", name)
    return bool(_SECRET.search(snake)) and not _NOT.search(snake)


def names_password(name: str) -> bool:
    """A field of this name takes what somebody types to log in, or to set it."""
    snake = _CAMEL.sub("_", name)
    return bool(_PASSWORD.search(snake)) and (names_secret(snake) or snake[-1].isdigit())


def signs(name: str) -> bool:
    """The secret is the service's own, with which it signs or checks: empty, everybody knows it.

    One that another service issued is not: without it that service refuses, or the feature is off.
    """
    words = set(_CAMEL.sub("_", name).lower().split("_")) - {"", "key"}
    return "secret" in words and ("webhook" in words or words - {"secret"} <= _OWN)


def is_dummy(text: str) -> bool:
    """The literal says of itself that it is none, or is a key that its issuer makes to be published, in browsers for one."""
    return text.lower().startswith(("dummy", "fake", "placeholder", "empty", "unused", "not-needed")) or text.startswith(
        _PUBLISHED
    )


def is_to_be_replaced(text: str) -> bool:
    """The literal says that another must be put in its place: `<set it in the environment>`, `your-api-key`.

    It gives nothing away; but what a service signs with must not be one that can be read.
    """
    return _REPLACED.fullmatch(text.strip()) is not None


def is_literal_secret(text: str) -> bool:
    """The literal could be used as a secret: not empty, not a template, not a placeholder."""
    stripped = text.strip()
    return bool(stripped) and " " not in stripped and not _PLACEHOLDER.match(stripped) and not _CONSTANT.fullmatch(stripped)


def dsn_password(text: str) -> str | None:
    """The password inside of a connection string."""
    matched = _DSN.match(text.strip())
    return matched[1] if matched is not None and not _PLACEHOLDER.match(matched[1]) else None
