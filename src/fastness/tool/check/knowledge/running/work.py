"""Library calls by what they do for the business: mail, money, stored data, computation. Blocking or not is another subject."""

from __future__ import annotations

import re
from functools import cache

_MAIL = (
    r"smtplib\.SMTP.*\.(?:send_message|sendmail)|aiosmtplib\.(?:send|SMTP\(\)\.send\w*)|fastapi_mail\.FastMail\(\)\.send_message"
    r"|sendgrid\..*\.send|resend\..*\.send|mailjet_rest\..*\.create|postmarker\..*\.send|emails\..*\.send"
    r"|boto3\.client\(\)\.send_(?:raw_)?(?:templated_)?email|redmail\..*\.send|twilio\..*\.create|yagmail\.SMTP\(\)\.send"
    r"|(?:sib_api_v3_sdk|brevo)\..*\.send_transac_email|azure\.communication\.email\..*\.begin_send|django\.core\.mail\.send_\w+"
)
_POST = re.compile(
    r"(?:requests|httpx2?)\.(?:post|request)|(?:requests\.Session|httpx2?\.(?:Async)?Client|aiohttp\.ClientSession)\(\)\.(?:post|request)"
    r"|urllib\.request\.urlopen|urllib3\..*request"
)
_MAILER = re.compile(
    r"(?:send|deliver|dispatch|notif[yi])\w*mail|mail\w*(?:send|sender|service|client|provider)|mailer|send_(?:sms|otp)(?![a-z])"
    r"|send_(?:\w+_)?(?:message|invit(?:e|ation))s?(?![a-z])",
    re.IGNORECASE,
)
_MONEY = (
    r"stripe\.(?:\w+\.)*(?:create|capture|confirm|refund)(?:_async)?|paypalrestsdk\..*\.(?:create|execute)|braintree\..*\.sale"
)
_STORE = (
    r"sqlalchemy\.orm\.(?:Session|scoped_session)\(\)\.(?:commit|bulk_\w+)|sqlalchemy\.ext\.asyncio\.AsyncSession\(\)\.commit"
    r"|sqlalchemy\.(?:ext\.asyncio\.Async)?Connection\(\)\.commit|(?:motor|pymongo)\..*\.(?:insert|update|replace|delete)_\w+"
    r"|supabase\..*\.(?:insert|update|upsert|delete)\(\)\..*execute|supabase\..*\.(?:insert|update|upsert|delete)\(\)\.execute"
    r"|fastness\.jobs\.Jobs\(\)\.enqueue(?:_many)?|psycopg2?\..*\.commit|beanie\..*\.(?:insert|save|replace)"
    r"|django\.db\.models\.Model(?:\(\))?\.a?(?:save|delete)"
    r"|django\.db\.models\.Model\.objects(?:\.\w+\(\))*\.a?(?:create|update|delete|bulk_create|bulk_update|update_or_create|get_or_create)"
)
_FILES = (
    r"boto3\.(?:client\(\)|resource\(\)\..*)\.(?:put_object|upload_file(?:obj)?)|minio\.Minio\(\)\.f?put_object"
    r"|aio(?:boto3|botocore)\..*\.(?:put_object|upload_file(?:obj)?)|google\.cloud\.storage\..*\.upload_from_\w+"
    r"|azure\.storage\.blob\..*\.upload_blob|supabase\.Client\(\)\.storage\..*\.upload"
)
_DURABLE = [
    ("sends mail", re.compile(_MAIL)), ("moves money", re.compile(_MONEY)), ("writes the database", re.compile(_STORE)),
    ("stores a file", re.compile(_FILES)),
]  # fmt: skip

_CPU = re.compile(
    r"bcrypt\.(?:hashpw|checkpw|kdf)|passlib\..*\.(?:hash|verify|encrypt|verify_and_update)|passlib\.hash\.\w+\.(?:hash|verify)"
    r"|argon2\.PasswordHasher\(\)\.(?:hash|verify)|pwdlib\..*\.(?:hash|verify|verify_and_update)|hashlib\.(?:pbkdf2_hmac|scrypt)"
    r"|werkzeug\.security\.(?:generate|check)_password_hash|nacl\.pwhash\..*"
    r"|PIL\.Image\.open(?:\(\)\.\w+)*\.(?:resize|save|convert|thumbnail|rotate|crop|filter)|PIL\.Image\.open"
    r"|pandas\.(?:read_(?:csv|excel|json|parquet|html|xml)|ExcelWriter|DataFrame\(\).*\.to_(?:excel|csv|json|parquet))"
    r"|openpyxl\.load_workbook|openpyxl\.Workbook\(\)\.save|weasyprint\.HTML\(\)\.write_pdf"
    r"|(?:fitz|pymupdf)\.(?:open|Document)|pymupdf4llm\.to_markdown|docx2txt\.process|docx2pdf\.convert|markitdown\.MarkItDown\(\)\.convert\w*"
    r"|(?:langchain_community|langchain)\.document_loaders\.(?:[\w.]+\.)?(?!Web|Async|Url|Recursive|Sitemap|Notion|S3|Github|Wikipedia|Arxiv)"
    r"\w*Loader\(\)\.(?:load|load_and_split)|docling\..*\.convert|unstructured\.partition\..*\.partition\w*"
    r"|fpdf\.(?:fpdf\.)?FPDF\(\)\.output|xhtml2pdf\.pisa\.(?:CreatePDF|pisaDocument)|xlsxwriter\.Workbook\(\)\.close|polars\.read_\w+"
    r"|(?:camelot|tabula)\.read_pdf|rembg\.remove|cryptography\..*\.(?:(?:PBKDF2HMAC|Scrypt)\(\)\.(?:derive|verify)|rsa\.generate_private_key)"
    r"|reportlab\..*\.(?:build|save)|docxtpl\.DocxTemplate\(\)\.(?:render|save)|docx\.Document(?:\(\)\.save)?|pptx\.Presentation(?:\(\)\.save)?"
    r"|(?:pypdf|PyPDF2)\.(?:PdfReader|PdfFileReader|PdfMerger\(\)\.write)|pdfplumber\.open|pytesseract\.image_to_\w+"
    r"|easyocr\.Reader\(\)\.readtext|face_recognition\.(?:load|face)_\w+|librosa\.load"
    r"|sentence_transformers\.(?:SentenceTransformer\(\)\.encode|CrossEncoder\(\)\.(?:predict|rank))|matplotlib\.pyplot\.savefig"
    # Models that answer. Loading one takes longer, once, and belongs to start-up.
    r"|transformers\.(?:pipeline\(\)|\w+\.from_pretrained\(\)(?:\.(?:generate|forward))?)|onnxruntime\.InferenceSession\(\)\.run"
    r"|torch\.(?:jit\.load|hub\.load|load)\(\)(?:\.forward)?|ultralytics\.YOLO\(\)(?:\.predict)?|spacy\.load\(\)"
    r"|llama_cpp\.Llama\(\)(?:\.create_(?:chat_)?completion)?|faster_whisper\.WhisperModel\(\)\.transcribe"
    r"|shutil\.make_archive|zipfile\.ZipFile\(\)\.(?:writestr|extractall)|numpy\.(?:load|save|loadtxt|genfromtxt)"
    r"|cv2\.(?:imread|imdecode|resize|imwrite)|sklearn\..*\.(?:fit|fit_transform)|whisper\..*\.transcribe|ffmpeg\..*\.run"
)
_MODEL = re.compile(
    r"(?:openai|anthropic|groq|together|mistralai|cohere|litellm|ollama|google\.(?:genai|generativeai)|langchain\w*|llama_index|vertexai"
    r"|dashscope|zhipuai|huggingface_hub|replicate|fireworks)\..*\.?(?:a?create|a?generate\w*|a?invoke|a?stream|a?chat\w*|a?complet\w+"
    r"|send_message\w*|a?embed\w*|a?predict|a?run|a?parse)"
)


@cache
def asks_model(path: str) -> bool:
    """The call is answered by a language model, which is paid by the word."""
    return bool(_MODEL.fullmatch(path))


@cache
def durable(path: str) -> str | None:
    """What is lost when the process dies before this call is made, None when nothing of value is."""
    return next((what for what, pattern in _DURABLE if pattern.fullmatch(path)), None)


@cache
def posts(path: str) -> bool:
    """The call sends something to another service over HTTP; what that is, the names of its callers say."""
    return bool(_POST.fullmatch(path))


def is_mailer(name: str) -> bool:
    """A function or method of this name sends mail or text messages."""
    return bool(_MAILER.search(name))


@cache
def computes(path: str) -> bool:
    """The call computes for milliseconds and more."""
    return bool(_CPU.fullmatch(path))
