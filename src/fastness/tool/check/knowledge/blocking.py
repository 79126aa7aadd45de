"""Library calls that hold their thread: on the event loop, every other request waits for them.

Paths are as in `fastness.tool.project.values.External`. Constructors that only store their arguments are not listed.
"""

from __future__ import annotations

import re
from functools import cache

DATABASE, NETWORK, SLEEP, SUBPROCESS, FILE = "database", "network", "sleep", "subprocess", "file"

# Worst first: a chain to the first of these is the one that is shown.
ORDER = (SLEEP, DATABASE, NETWORK, SUBPROCESS, FILE)

_HTTP = "get|post|put|patch|delete|head|options|request|send|stream"
_SQL = "execute|executemany|exec|scalars?|get|get_one|query|commit|rollback|flush|refresh|merge|connection|bulk_[a-z_]+|stream"
_CURSOR = "execute|executemany|fetchone|fetchall|fetchmany|callproc|commit|rollback"
_DRIVER = r"psycopg2|psycopg|pymysql|MySQLdb|mysql\.connector|pyodbc|cx_Oracle|oracledb|sqlite3|duckdb"
_MONGO = r"(?:insert|update|delete|find_one|count)_?\w*|replace_one|aggregate|distinct|create_index|drop|bulk_write|command"
_PATH = "read_text|read_bytes|write_text|write_bytes|open"

_PATTERNS: dict[str, tuple[str, ...]] = {
    DATABASE: (
        rf"sqlalchemy\.orm\.(?:Session|scoped_session|sessionmaker)\(\)\.(?:{_SQL})",
        rf"sqlalchemy\.Connection\(\)\.(?:{_SQL})",
        r"sqlalchemy\.Engine\(\)\.(?:connect|begin|execute|raw_connection|scalar)",
        r"sqlalchemy\.inspect\(\)\.(?:get_|has_)[a-z_]+",
        r".*[Mm]etadata(?:\(\))?\.(?:create_all|drop_all|reflect)",
        rf"(?:{_DRIVER})\.connect",
        rf"(?:{_DRIVER})\..*\.(?:{_CURSOR})",
        rf"pymongo\.MongoClient\(\)\..*\.(?:{_MONGO})",
        r"redis\.(?:Redis|StrictRedis|RedisCluster|Sentinel)\(\)\.(?!pipeline$|lock$|pubsub$|from_url$|connection_pool)\w+",
        r"alembic\.command\.\w+",
        r"elasticsearch\.Elasticsearch\(\)\.[a-z_.]+",
        r"pandas\.(?:read_sql\w*)",
    ),
    NETWORK: (
        rf"requests\.(?:{_HTTP})",
        rf"requests\.Session\(\)\.(?:{_HTTP})",
        rf"httpx2?\.(?:{_HTTP})",
        rf"httpx2?\.Client\(\)\.(?:{_HTTP})",
        r"urllib\.request\.(?:urlopen|urlretrieve)",
        r"urllib3\.(?:request|PoolManager\(\)\.(?:request|urlopen))",
        r"smtplib\.SMTP(?:_SSL)?",
        r"smtplib\.SMTP\(\)\.(?:send_message|sendmail|login|starttls|connect|quit)",
        r"imaplib\.IMAP4(?:_SSL)?",
        r"(?:poplib|ftplib)\.\w+",
        r"socket\.(?:create_connection|getaddrinfo|gethostbyname)",
        r"supabase\.Client\(\)\..*\.execute",
        r"supabase\.Client\(\)\.(?:auth|storage|functions)(?:\(\))?\..*",
        r"boto3\.client\(\)\.(?!generate_presigned\w*$|get_paginator$|get_waiter$|exceptions|meta|can_paginate$|close$)\w+",
        r"boto3\.resource\(\)\..*\.(?:put_object|upload_\w+|download_\w+|delete\w*|copy\w*|get|put|load|scan|query|\w+_item)",
        r"(?:minio\.Minio|slack_sdk\.WebClient|hvac\.Client|docker\.from_env|ldap3\.Connection)\(\)\..*\w",
        r"google\.cloud\.storage\.Client\(\)\..*\.(?:upload_\w+|download_\w+|delete|exists|list_blobs|get_blob)",
        r"google\.cloud\.secretmanager\.SecretManagerServiceClient\(\)\.\w+",
        r"kubernetes\.client\.(?:\w*Api)\(\)\.(?:read|create|patch|delete|replace|list)_\w+",
        r"twilio\.rest\.Client\(\)\..*\.(?:create|fetch|list|update)",
        r"stripe\.(?:\w+\.)+(?:create|retrieve|list|modify|delete|construct_event)(?<!construct_event)",
        r"openai\.(?:OpenAI|AzureOpenAI)\(\)\..*\.(?:create|generate|parse|retrieve|list)",
        r"anthropic\.Anthropic\(\)\..*\.create",
        r"sendgrid\.SendGridAPIClient\(\)\.send",
        r"firebase_admin\.(?:messaging\.send\w*|auth\.(?:verify_id_token|get_user\w*|create_user))",
        r"cloudinary\.uploader\.\w+",
        r"paramiko\.SSHClient\(\)\.(?:connect|exec_command)",
        r"azure\.storage\.blob\..*\.(?:upload_blob|download_blob|delete_blob)",
        r"nltk\.download",
        r"git\.Repo\.clone_from",
    ),
    SLEEP: (r"time\.sleep",),
    SUBPROCESS: (
        r"subprocess\.(?:run|call|check_call|check_output|getoutput|getstatusoutput)",
        r"subprocess\.Popen\(\)\.(?:wait|communicate)",
        r"os\.(?:system|popen|waitpid)",
        r"pypandoc\.convert_\w+",
        r"pdfkit\.from_\w+",
    ),
    FILE: (
        r"open",
        r"io\.open",
        rf"pathlib\.Path\(\)\.(?:{_PATH})",
        r"shutil\.(?:copy\w*|move|rmtree|make_archive|unpack_archive)",
        r"zipfile\.ZipFile\(\)\.(?:extract\w*|write)",
    ),
}
_COMPILED = [(kind, re.compile("|".join(f"(?:{pattern})" for pattern in patterns))) for kind, patterns in _PATTERNS.items()]


@cache
def kind(path: str) -> str | None:
    """Why a call holds its thread, None when it does not, as far as is known."""
    return next((kind for kind, pattern in _COMPILED if pattern.fullmatch(path)), None)


def display(path: str) -> str:
    """A path as a person would write it."""
    return path.replace("()", "")
