"""Calls of client libraries that hold their thread until another machine has answered.

Paths are as in `fastness.tool.project.names.values.External`. Constructors that only store their arguments are not listed, nor
are what only builds a request, and what hands it to a thread of the library's own.
"""

_HTTP = "get|post|put|patch|delete|head|options|request|send|stream"
_SQL = "execute|executemany|exec|scalars?|get|get_one|query|commit|rollback|flush|refresh|merge|connection|bulk_[a-z_]+|stream"
_CURSOR = "execute|executemany|fetchone|fetchall|fetchmany|callproc|commit|rollback"
_DRIVER = (
    r"psycopg2|psycopg|pymysql|MySQLdb|mysql\.connector|pyodbc|pymssql|cx_Oracle|oracledb|sqlite3|duckdb|snowflake\.connector"
    r"|redshift_connector|databricks\.sql|trino\.dbapi|pyhive\.\w+"
)
_MONGO = r"(?:insert|update|delete|find_one|count)_?\w*|replace_one|aggregate|distinct|create_index|drop|bulk_write|command"
_QUERYSET = (
    r"(?:get|update)_or_create|get|first|last|latest|earliest|count|exists|create|update|delete|aggregate|in_bulk|bulk_\w+"
)
_WEAVIATE = r"fetch_\w+|near_\w+|bm25|hybrid|insert\w*|delete\w*|create\w*|exists|list_all"
_CHROMA = r"\w+_collections?|query|add|upsert|get|delete|update|count|peek|heartbeat"
_LANGUAGE = (
    r"invoke|batch|stream|run|predict|generate|similarity_search\w*|max_marginal_\w+|get_relevant_documents"
    r"|(?:add|from)_(?:documents|texts)|embed_(?:documents|query)"
)
_AZURE = r"(?:upload|download|delete|create|read|query|upsert|list|send|receive|analyze|begin|[gs]et_secret)\w*(?<!_url)"

# Of databases, search engines and other stores.
DATABASES = (
    rf"sqlalchemy\.orm\.(?:Session|scoped_session|sessionmaker)\(\)\.(?:{_SQL})",
    rf"sqlalchemy\.Connection\(\)\.(?:{_SQL})",
    r"sqlalchemy\.Engine\(\)\.(?:connect|begin|execute|raw_connection|scalar)",
    r"sqlalchemy\.inspect\(\)\.(?:get_|has_)[a-z_]+",
    r".*(?i:metadata)(?:\(\))?\.(?:create_all|drop_all|reflect)",
    r"alembic\.command\.\w+",
    rf"(?:{_DRIVER})\.connect",
    rf"(?:{_DRIVER})\..*\.(?:{_CURSOR})",
    rf"psycopg_pool\.ConnectionPool\(\)\.(?:.*\.)?(?:{_CURSOR})",
    r"pandas\.(?:read_sql\w*)",
    # Mappers.
    rf"django\.db\.models\.Model\.objects\.(?:.*\.)?(?:{_QUERYSET})",
    r"django\.db\.models\.Model\(\)\.(?:save|delete|refresh_from_db)",
    r"mongoengine\.Document(?:\(\))?\.(?:save|delete|update|reload|modify|insert)",
    r"mongoengine\.Document\.objects(?:\(\))?(?:\..*)?\.(?:first|get|count|update\w*|delete|insert|modify)",
    r"odmantic\.SyncEngine\(\)\.\w+",
    r"peewee\.Model(?:\(\))?\.(?:get|get_or_none|get_by_id|get_or_create|create|save|delete_instance|insert_many|bulk_create)",
    r"peewee\.Model\.(?:select|update|delete|insert)\(\).*\.(?:execute|get|get_or_none|first|count|exists|scalar|dicts|tuples)",
    r"pony\.orm\.(?:select|get|commit|flush|exists)",
    # Stores that are no relational databases.
    rf"pymongo\.(?:MongoClient|database\.Database|collection\.Collection)\(\)\.(?:.*\.)?(?:{_MONGO})",
    r"redis\.(?:Redis|StrictRedis|RedisCluster|Sentinel)\(\)\.(?!pipeline$|lock$|pubsub$|from_url$|connection_pool)\w+",
    r"dramatiq\.brokers\.redis\.RedisBroker\(\)\.client\.\w+",
    r"(?:pymemcache\.(?:client\.\w+\.)?\w*Client|pylibmc\.Client|memcache\.Client)\(\)\.(?!close$)\w+",
    r"(?:elasticsearch\.Elasticsearch|opensearchpy\.OpenSearch)\(\)\.[a-z_.]+",
    r"neo4j\.GraphDatabase\.driver\(\)\.(?:session\(\)\.(?:run|execute_\w+|read_transaction|write_transaction)|execute_query)",
    r"cassandra\.cluster\.Cluster\(\)\.connect(?:\(\)\.execute)?",
    r"arango\.ArangoClient\(\)\.db\(\)\..*\.(?:execute|insert\w*|get|update\w*|delete\w*|find)",
    r"clickhouse_connect\.get_client\(\)\.(?:query\w*|insert\w*|command|raw_query)",
    r"clickhouse_driver\.(?:Client\(\)|Client\.from_url\(\))\.(?:execute\w*|query_dataframe|insert_dataframe)",
    r"influxdb_client\.(?:InfluxDBClient\(\)\.\w+_api|(?:[\w.]+\.)?(?:Query|Write|Delete)Api)\(\)\.(?:query\w*|write|delete)",
    r"influxdb\.InfluxDBClient\(\)\.(?:query|write_\w+)",
    r"google\.cloud\.bigquery\.Client\(\)\.(?:query|query_and_wait|get_\w+|insert_rows\w*|load_\w+|list_rows)",
    r"(?:google\.cloud\.firestore\.Client|firebase_admin\.firestore\.client)\(\)\..*\.(?:get|set|add|update|delete|stream)",
    # Stores of vectors.
    r"qdrant_client\.QdrantClient\(\)\.(?!close$)\w+",
    rf"chromadb\.\w*Client\(\)\.(?:.*\.)?(?:{_CHROMA})",
    rf"weaviate\.connect_to_\w+(?:\(\)\..*\.(?:{_WEAVIATE}))?|weaviate\.Client\(\)\..*\.do",
    r"pinecone\.Pinecone\(\)\.(?:\w+_index(?:es)?|Index\(\)\.\w+)|pinecone\.Index\(\)\.\w+",
    r"pymilvus\.(?:MilvusClient\(\)\.\w+|connections\.connect)",
    r"pymilvus\.Collection\(\)\.(?:search|query|insert|upsert|delete|load|flush)",
)

# Of everything else behind a network.
NETWORK = (
    rf"requests\.(?:{_HTTP})",
    rf"requests\.Session\(\)\.(?:{_HTTP})",
    rf"httpx2?\.(?:{_HTTP})",
    rf"httpx2?\.Client\(\)\.(?:{_HTTP})",
    rf"(?:curl_cffi\.requests|cloudscraper\.create_scraper\(\))\.(?:{_HTTP})",
    rf"(?:curl_cffi\.requests|tls_client|requests_html)\.\w*Session\(\)\.(?:{_HTTP})",
    rf"(?:requests_oauthlib|authlib\.integrations\.requests_client)\.OAuth[12]Session\(\)\.(?:{_HTTP}|fetch_\w+|refresh_token)",
    r"urllib\.request\.(?:urlopen|urlretrieve)",
    r"urllib3\.(?:request|PoolManager\(\)\.(?:request|urlopen))",
    r"http\.client\.HTTPS?Connection\(\)\.(?:request|getresponse|connect)",
    r"xmlrpc\.client\.ServerProxy\(\)\.\w.*|zeep\.Client(?:\(\)\.service\.\w+)?",
    r"socket\.(?:create_connection|getaddrinfo|gethostby\w+)|dns\.resolver\.(?:Resolver\(\)\.)?(?:resolve|query)",
    r"(?:poplib|ftplib)\.\w+",
    r"paramiko\.SSHClient\(\)\.(?:connect|exec_command)|fabric\.Connection\(\)\.(?:run|sudo|put|get)|ldap\.initialize\(\)\.\w+_s",
    # Mail and messages.
    r"smtplib\.SMTP(?:_SSL)?",
    r"smtplib\.SMTP\(\)\.(?:send_message|sendmail|login|starttls|connect|quit)",
    r"imaplib\.IMAP4(?:_SSL)?",
    r"sendgrid\.SendGridAPIClient\(\)\.send|mailjet_rest\.Client\(\)\..*\.create|postmarker\.core\.PostmarkClient\(\)\.emails\.\w+",
    r"nylas\.Client\(\)\.(?:auth\.(?!url_\w+$)\w+|(?!auth\.)\w+\.\w+)",
    r"resend\.\w.*\.(?:send|create|get|list|update)",
    r"mailjet_rest\.Client\(\)\..*\.create|postmarker\.core\.PostmarkClient\(\)\..*\.send\w*|yagmail\.SMTP\(\)\.send",
    r"(?:sib_api_v3_sdk|brevo_python)\.\w+Api\(\)\.\w+|mailchimp_transactional\.Client\(\)\..*\w",
    r"twilio\.rest\.Client\(\)\..*\.(?:create|fetch|list|update)",
    r"africastalking\.\w+\.send\w*|vonage\.(?:Client|Vonage)\(\)\..*\.send\w*|messagebird\.Client\(\)\.\w+",
    r"slack_sdk\.WebClient\(\)\..*\w|telebot\.TeleBot\(\)\.\w+",
    r"firebase_admin\.(?:messaging\.send\w*|auth\.(?:verify_id_token|get_user\w*|create_user))",
    r"exponent_server_sdk\.PushClient\(\)\.publish\w*|pusher\.Pusher\(\)\.trigger|pywebpush\.webpush",
    # Brokers.
    r"pika\.BlockingConnection(?:\(\)\.channel\(\)\.(?:basic_publish|queue_declare|exchange_declare))?",
    r"kafka\.KafkaProducer\(\)\.(?:flush|send\(\)\.get)|kafka\.KafkaConsumer\(\)\.poll",
    r"confluent_kafka\.(?:Producer\(\)\.flush|Consumer\(\)\.(?:poll|consume))",
    r"paho\.mqtt\.(?:publish\.\w+|client\.Client\(\)\.(?:connect|publish\(\)\.wait_for_publish))",
    r"(?:celery\.Celery\(\)\.connection\w*|kombu\.Connection)\(\)\.(?:ensure_connection|connect)",
    r"celery\.Celery\(\)\.control\.(?:(?!inspect$)\w+|inspect\(\)\.\w+)",
    r"celery\.(?:result|Celery\(\))\.AsyncResult\(\)\.(?:get|wait|ready|successful|failed|revoke)",
    # Clouds.
    r"boto3\.client\(\)\.(?!generate_presigned\w*$|get_paginator$|get_waiter$|exceptions|meta|can_paginate$|close$)\w+",
    r"boto3\.resource\(\)\..*\.(?:put_object|upload_\w+|download_\w+|delete\w*|copy\w*|get|put|load|scan|query|\w+_item)",
    r"google\.cloud\.storage\.Client\(\)\..*\.(?:upload_\w+|download_\w+|delete|exists|list_blobs|get_blob)",
    r"google\.cloud\.(?!storage|bigquery|firestore|logging)(?:\w+\.)+(?!\w*Async)\w+Client\(\)\.(?!publish$|\w+_path$)\w+",
    r"googleapiclient\.discovery\.build\(\)\..*\.execute",
    r"google\.oauth2\.id_token\.(?:verify_\w+|fetch_id_token)",
    r"google\.oauth2\.\w+\.Credentials(?:\(\)|\.from_\w+\(\))\.refresh|google_auth_oauthlib\.flow\.Flow(?:\.\w+)?\(\)\.fetch_token",
    rf"azure\.(?!(?:\w+\.)*aio\.).*Client(?:\(\)|\.from_\w+\(\))(?:\..*)?\.{_AZURE}",
    r"(?:minio\.Minio|hvac\.Client|docker\.(?:from_env|DockerClient)|ldap3\.Connection)\(\)\..*\w",
    r"kubernetes\.client\.(?:\w*Api)\(\)\.(?:read|create|patch|delete|replace|list)_\w+",
    r"(?:consul\.Consul|etcd3\.client)\(\)\..*\w",
    r"supabase\.Client\(\)\..*\.execute",
    r"supabase\.Client\(\)\.(?:auth|storage|functions)(?:\(\))?\..*",
    r"cloudinary\.uploader\.\w+",
    r"oss2\.Bucket\(\)\.\w+|qcloud_cos\.CosS3Client\(\)\.\w+|qiniu\.put_\w+",
    # Identities.
    r"(?:jwt|jwt\.jwks_client)\.PyJWKClient\(\)\.(?:get_\w+|fetch_data)",
    r"keycloak\.Keycloak\w+\(\)\.(?!a_|connection$|auth_url$|decode_token$)\w+",
    rf"(?:requests_oauthlib|authlib\.integrations\.requests_client)\.OAuth[12]Session\(\)\.(?:{_HTTP}|fetch_\w+|refresh_token)",
    r"msal\.(?:Confidential|Public)ClientApplication\(\)\.acquire_\w+",
    # Payments.
    r"stripe\.(?:StripeClient\(\)\.)?(?:\w+\.)+(?:create|retrieve|list|modify|update|delete|cancel|capture|search)",
    r"razorpay\.Client\(\)\.(?:\w+\.)+(?:create|fetch|all|capture|refund|edit)",
    r"mercadopago\.SDK\(\)\.\w+\(\)\.(?:create|get|search|update)",
    r"braintree\.BraintreeGateway\(\)\..*\.(?:sale|create|find|update|cancel|refund)",
    r"paypalrestsdk\.\w+(?:\(\))?\.(?:create|execute|find|all)",
    r"plaid\.api\.plaid_api\.PlaidApi\(\)\.\w+",
    r"web3\.Web3\(\)\.(?:is_connected|eth\.(?:get|send|wait_for|estimate)_\w+|eth\..*\.(?:call|transact|estimate_gas))",
    # Language models; each step of a chain or an agent is a call.
    r"openai\.(?:OpenAI|AzureOpenAI)\(\)\..*\.(?:create\w*|edit|generate|parse|retrieve|list|delete|content|\w+_and_poll)",
    r"openai\.(?!Async)[A-Za-z_.]+\.(?:create|generate|parse|retrieve|list|transcribe|translate)",
    r"(?:anthropic\.Anthropic\w*|groq\.Groq|together\.Together|zhipuai\.ZhipuAI|cerebras\.cloud\.sdk\.Cerebras)\(\)\..*\.(?:create|parse|count_tokens)",
    r"(?:google\.generativeai|vertexai(?:\.preview)?\.generative_models)\.GenerativeModel\(\)\.(?:generate_content|start_chat\(\)\.send_message)",
    r"google\.generativeai\.(?:embed_content|upload_file|generate_text)",
    r"google\.genai\.Client\(\)\.(?:(?:models|files|caches)\.\w+|chats\.create\(\)\.send_message)",
    r"(?:cohere\.Client(?:V2)?|mistralai\.Mistral|ollama\.Client)\(\)\.(?:chat|embed|embeddings|generate|rerank)(?:\.\w+)*",
    r"ollama\.(?:chat|generate|embed|embeddings)",
    r"litellm\.(?:completion|embedding|transcription|image_generation)|fal_client\.(?:run|subscribe|submit|result|upload\w*)|replicate\.(?:Client\(\)\.)?(?:run|predictions\.\w+)|tavily\.TavilyClient\(\)\.search|dashscope\.\w+\.call",
    r"huggingface_hub\.(?:(?:InferenceClient|HfApi)\(\)\.\w+|hf_hub_download|snapshot_download)",
    r"elevenlabs\.(?:client\.)?ElevenLabs\(\)\..*\w|voyageai\.Client\(\)\.\w+|assemblyai\.Transcriber\(\)\.\w+",
    rf"langchain\w*\.(?:\w+\.)*\w+(?:\(\)(?:\..*)?)?\.(?:{_LANGUAGE})",
    r"langgraph\.(?:.*\.compile|prebuilt\.\w+)\(\)\.(?:invoke|stream|batch)",
    r"llama_index\.(?:\w+\.)*\w+\(\)\.(?:.*\.)?(?:query|chat|complete|retrieve|load_data|insert\w*)",
    r"llama_index\.(?:\w+\.)*\w+\.(?:from_documents|load_data)",
    r"crewai\.Crew\(\)\.kickoff|mem0\.(?:Memory|MemoryClient)\(\)\.\w+",
    # Browsers, and what reads other people's pages.
    r"(?:selenium\.webdriver|undetected_chromedriver)\.(?:Chrome|Firefox|Edge|Remote)",
    r"(?:selenium\.webdriver|undetected_chromedriver)\.\w+\(\)\.(?:get|find_\w+|execute_script|quit)",
    r"playwright\.sync_api\.sync_playwright\(\)\..*\w",
    r"yt_dlp\.YoutubeDL\(\)\.(?:extract_info|download)|pytube\.YouTube\(\)\..*\w|feedparser\.parse",
    r"youtube_transcript_api\.YouTubeTranscriptApi(?:\(\))?\.(?:fetch|list|get_transcript\w*|list_transcripts)",
    r"(?:ddgs|duckduckgo_search)\.DDGS\(\)\.\w+",
    r"yfinance\.(?:download|Ticker\(\)\.history)",
    # Other services.
    r"composio\.Composio(?:ToolSet)?\(\)\.(?:\w+(?:\(\))?\.)*(?:get|list|create|execute|initiate|delete|enable|disable)\w*",
    r"deepgram\.DeepgramClient\(\)\.listen\.(?:rest|prerecorded)\..*\.transcribe_\w+",
    r"clerk_backend_api\.Clerk\(\)\.\w+\.\w+(?<!_async)",
    r"(?:gspread\.\w+|github\.Github|gitlab\.Gitlab|meilisearch\.Client|typesense\.Client)\(\)\..*\w",
    r"(?:tweepy\.(?:Client|API)|spotipy\.Spotify|dropbox\.Dropbox|googlemaps\.Client|dadata\.Dadata)\(\)\.\w+",
    r"jira\.JIRA(?:\(\)\.\w+)?|(?:notion_client\.Client|atlassian\.\w+)\(\)\..*\w|wikipedia\.(?:summary|page|search)",
    r"gtts\.gTTS\(\)\.(?:save|write_to_fp)|speech_recognition\.Recognizer\(\)\.recognize_\w+|trafilatura\.fetch_url",
    r"geopy\.geocoders\.\w+\(\)\.(?:geocode|reverse)",
    r"deep_translator\.\w+\(\)\.translate\w*|googletrans\.Translator\(\)\.translate|deepl\.\w+\(\)\.translate_\w+",
    r"nltk\.download",
    r"git\.Repo\.clone_from",
)
