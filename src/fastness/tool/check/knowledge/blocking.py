"""Library calls that hold their thread: on the event loop, every other request waits for them.

Paths are as in `fastness.tool.project.values.External`. Constructors that only store their arguments are not listed.
"""

from __future__ import annotations

import re
from functools import cache

from fastness.tool.project.calls import Outward
from fastness.tool.project.symbols import constant

DATABASE, NETWORK, SLEEP, SUBPROCESS, FILE = "database", "network", "sleep", "subprocess", "file"
THREAD = "waits for a thread"

# Worst first: a chain to the first of these is the one that is shown.
ORDER = (SLEEP, DATABASE, NETWORK, SUBPROCESS, THREAD, FILE)

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
        r".*(?i:metadata)(?:\(\))?\.(?:create_all|drop_all|reflect)",
        rf"(?:{_DRIVER})\.connect",
        rf"(?:{_DRIVER})\..*\.(?:{_CURSOR})",
        rf"pymongo\.MongoClient\(\)\.(?:.*\.)?(?:{_MONGO})",
        r"mongoengine\.Document(?:\(\))?\.(?:save|delete|update|reload|modify|insert)",
        r"mongoengine\.Document\.objects(?:\(\))?(?:\..*)?\.(?:first|get|count|update\w*|delete|insert|modify)",
        r"peewee\.Model(?:\(\))?\.(?:get|get_or_none|get_by_id|get_or_create|create|save|delete_instance|insert_many|bulk_create)",
        r"peewee\.Model\.(?:select|update|delete|insert)\(\)(?:\..*)?\.(?:execute|get|get_or_none|first|count|exists|scalar)",
        r"redis\.(?:Redis|StrictRedis|RedisCluster|Sentinel)\(\)\.(?!pipeline$|lock$|pubsub$|from_url$|connection_pool)\w+",
        r"alembic\.command\.\w+",
        r"dramatiq\.brokers\.redis\.RedisBroker\(\)\.client\.\w+",
        r"(?:elasticsearch\.Elasticsearch|opensearchpy\.OpenSearch)\(\)\.[a-z_.]+",
        r"neo4j\.GraphDatabase\.driver\(\)\.(?:session\(\)\.(?:run|execute_\w+|read_transaction|write_transaction)|execute_query)",
        r"clickhouse_connect\.get_client\(\)\.(?:query\w*|insert\w*|command|raw_query)",
        r"google\.cloud\.bigquery\.Client\(\)\.(?:query|query_and_wait|get_\w+|insert_rows\w*|load_\w+|list_rows)",
        r"(?:google\.cloud\.firestore\.Client|firebase_admin\.firestore\.client)\(\)\..*\.(?:get|set|add|update|delete|stream)",
        r"qdrant_client\.QdrantClient\(\)\.(?!close$)\w+",
        r"pandas\.(?:read_sql\w*)",
    ),
    NETWORK: (
        rf"requests\.(?:{_HTTP})",
        rf"requests\.Session\(\)\.(?:{_HTTP})",
        rf"httpx2?\.(?:{_HTTP})",
        rf"httpx2?\.Client\(\)\.(?:{_HTTP})",
        r"urllib\.request\.(?:urlopen|urlretrieve)",
        r"urllib3\.(?:request|PoolManager\(\)\.(?:request|urlopen))",
        r"http\.client\.HTTPS?Connection\(\)\.(?:request|getresponse|connect)",
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
        r"openai\.(?!Async)[A-Za-z_.]+\.(?:create|generate|parse|retrieve|list|transcribe|translate)",
        r"(?:anthropic\.Anthropic|groq\.Groq|together\.Together)\(\)\..*\.create",
        r"google\.generativeai\.(?:embed_content|GenerativeModel\(\)\.generate_content|GenerativeModel\(\)\.start_chat\(\)\.send_message)",
        r"google\.genai\.Client\(\)\.models\.\w+",
        r"(?:cohere\.Client|mistralai\.Mistral|ollama\.Client)\(\)\.(?:chat|embed|embeddings|generate|rerank)(?:\.\w+)*",
        r"ollama\.(?:chat|generate|embed|embeddings)",
        r"(?:litellm\.(?:completion|embedding)|replicate\.run|tavily\.TavilyClient\(\)\.search)",
        r"(?:jwt|jwt\.jwks_client)\.PyJWKClient\(\)\.(?:get_\w+|fetch_data)",
        r"google\.oauth2\.id_token\.(?:verify_\w+|fetch_id_token)",
        r"keycloak\.Keycloak\w+\(\)\.(?!a_|connection$|auth_url$|decode_token$)\w+",
        r"msal\.(?:Confidential|Public)ClientApplication\(\)\.acquire_\w+",
        r"razorpay\.Client\(\)\.(?:\w+\.)+(?:create|fetch|all|capture|refund|edit)",
        r"googleapiclient\.discovery\.build\(\)\..*\.execute",
        r"yfinance\.(?:download|Ticker\(\)\.history)",
        r"pika\.BlockingConnection(?:\(\)\.channel\(\)\.(?:basic_publish|queue_declare|exchange_declare))?",
        r"celery\.Celery\(\)\.control\.(?:(?!inspect$)\w+|inspect\(\)\.\w+)|celery\.result\.AsyncResult\(\)\.(?:get|wait)",
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
    THREAD: (
        r"(?:threading\.(?:Thread|Timer)|multiprocessing\.Process)\(\)\.join",
        r"concurrent\.futures\.(?:\w+\.)?(?:Thread|Process)PoolExecutor\(\)\.submit\(\)\.(?:result|exception)",
        r"concurrent\.futures\.(?:\w+\.)?(?:wait|as_completed)",
        r"multiprocessing\.(?:pool\.)?(?:Thread)?Pool\(\)\.(?:map|starmap|apply|join)",
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


def is_in_memory(call: Outward) -> bool:
    """What the kernel tells of itself under a file's name is on no disk."""
    path = constant(call.site.argument("file", 0)) if call.target.path == "open" else None
    return isinstance(path, str) and path.startswith(("/proc/", "/sys/"))


def display(path: str) -> str:
    """A path as a person would write it."""
    return path.replace("()", "")
