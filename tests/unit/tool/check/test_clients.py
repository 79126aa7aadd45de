"""Client libraries in an `async def`: those that hold the event loop are found, and those that do not are not."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastness.tool.check.config import Config
from fastness.tool.check.engine import check
from fastness.tool.check.examples import project
from fastness.tool.check.knowledge.running import blocking
from fastness.tool.check.rules import catalogue

CHAIN = """
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
chain = ChatPromptTemplate.from_template('x') | ChatOpenAI()
"""
# What is imported and made at module level, and what the endpoint does.
BLOCKING = [
    ("from peewee import Model\nclass User(Model): ...", "list(User.select().where(User.name == 'a').dicts())"),
    ("from pony.orm import Database, select\nclass P(Database().Entity): ...", "list(select(p for p in P))"),
    ("from django.db import models\nclass Thing(models.Model): ...", "Thing.objects.filter(a=1).first()"),
    ("from django.db import models\nclass Thing(models.Model): ...", "Thing(a=1).save()"),
    ("from mongoengine import Document\nclass D(Document): ...", "D.objects(name='a').first()"),
    ("from pymongo import MongoClient\nfound = MongoClient('x')['a']['b']", "found.find_one({'a': 1})"),
    ("from pymongo.collection import Collection\ndef get() -> Collection: ...", "get().insert_one({'a': 1})"),
    ("from psycopg_pool import ConnectionPool\npool = ConnectionPool('x')", "pool.connection().execute('select 1')"),
    ("import snowflake.connector as s\nc = s.connect()", "c.cursor().execute('select 1')"),
    ("from clickhouse_driver import Client\nc = Client('h')", "c.execute('select 1')"),
    ("from cassandra.cluster import Cluster\nc = Cluster().connect('k')", "c.execute('select 1')"),
    ("from influxdb_client import InfluxDBClient\nq = InfluxDBClient('u').query_api()", "q.query('x')"),
    ("from influxdb_client.client.query_api import QueryApi\ndef get() -> QueryApi: ...", "get().query('x')"),
    ("import threading\ndone = threading.Event()", "done.wait(5)"),
    ("import psutil", "psutil.cpu_percent(interval=1)"),
    ("from python_on_whales import docker", "docker.compose.up()"),
    ("from python_on_whales import DockerClient\nd = DockerClient()", "d.container.list()"),
    ("import docker\nd = docker.DockerClient()", "d.containers.list()"),
    ("import replicate", "replicate.Client('k').run('m')"),
    ("import feedparser", "feedparser.parse('https://example.org/feed')"),
    ("from celery import Celery\nc = Celery('a')", "c.connection().ensure_connection()"),
    ("import paho.mqtt.client as mqtt\nc = mqtt.Client()", "c.publish('a', 'b').wait_for_publish()"),
    ("import dns.resolver", "dns.resolver.resolve('example.org')"),
    ("from fabric import Connection", "Connection('h').run('ls')"),
    ("from jira import JIRA\nj = JIRA('u')", "j.create_issue()"),
    ("from pdf2image import convert_from_path", "convert_from_path('a.pdf')"),
    ("from pymemcache.client.base import Client\nc = Client('h')", "c.get('a')"),
    ("import chromadb\nc = chromadb.HttpClient().get_or_create_collection('a')", "c.query(query_texts=['a'])"),
    ("import weaviate\nw = weaviate.connect_to_local()", "w.collections.get('a').query.fetch_objects()"),
    ("from pinecone import Pinecone\nindex = Pinecone('k').Index('a')", "index.query(vector=[1])"),
    ("from pymilvus import MilvusClient\nm = MilvusClient('u')", "m.search('a', [[1]])"),
    ("from stripe import StripeClient\nc = StripeClient('k')", "c.customers.list()"),
    ("import stripe", "stripe.checkout.Session.create(mode='payment')"),
    ("import mercadopago\nm = mercadopago.SDK('t')", "m.payment().create({})"),
    ("import paypalrestsdk", "paypalrestsdk.Payment({}).create()"),
    ("from web3 import Web3\nw = Web3(Web3.HTTPProvider('u'))", "w.eth.get_block('latest')"),
    ("from langchain_openai import ChatOpenAI\nmodel = ChatOpenAI()", "model.invoke('x')"),
    (CHAIN, "chain.invoke({'a': 1})"),
    ("from langchain_chroma import Chroma\nstore = Chroma()", "store.similarity_search('a')"),
    ("from llama_index.core import VectorStoreIndex\ni = VectorStoreIndex([])", "i.as_query_engine().query('a')"),
    ("from huggingface_hub import InferenceClient\nh = InferenceClient()", "h.text_generation('a')"),
    ("from elevenlabs.client import ElevenLabs\ne = ElevenLabs()", "e.text_to_speech.convert(text='a')"),
    ("from elevenlabs import ElevenLabs\ne = ElevenLabs()", "e.voices.get_all()"),
    ("from nylas import Client\nn = Client(api_key='k')", "n.messages.send('grant', {})"),
    ("from composio import Composio\nc = Composio()", "c.get_entity(id='a').get_connections()"),
    ("from clerk_backend_api import Clerk\nc = Clerk()", "c.users.list()"),
    ("from mailjet_rest import Client\nm = Client(auth=())", "m.send.create(data={})"),
    ("from requests_oauthlib import OAuth2Session\nc = OAuth2Session('id')", "c.fetch_token('u', code='c')"),
    ("from authlib.integrations.requests_client import OAuth2Session\nc = OAuth2Session('id')", "c.get('http://x')"),
    ("import resend", "resend.Emails.send({})"),
    ("import telebot\nbot = telebot.TeleBot('t')", "bot.send_message(1, 'a')"),
    ("from kafka import KafkaProducer\np = KafkaProducer()", "p.send('a', b'').get(timeout=3)"),
    ("from confluent_kafka import Producer\np = Producer({})", "p.flush()"),
    ("from celery.result import AsyncResult", "AsyncResult('a').ready()"),
    ("from selenium import webdriver", "webdriver.Chrome()"),
    ("from playwright.sync_api import sync_playwright", "sync_playwright().start().chromium.launch()"),
    ("import cloudscraper\ns = cloudscraper.create_scraper()", "s.get('http://x')"),
    ("import gspread\ng = gspread.service_account()", "g.open('a').sheet1.get_all_records()"),
    ("from github import Github\ng = Github('t')", "g.get_repo('a')"),
    ("import tweepy\nt = tweepy.Client('a')", "t.create_tweet(text='a')"),
    ("from google.cloud import translate_v2\nc = translate_v2.TranslateClient()", "c.translate('a')"),
    ("from google.cloud import vision\nc = vision.ImageAnnotatorClient()", "c.text_detection(image=None)"),
    ("from azure.keyvault.secrets import SecretClient\ns = SecretClient('u', None)", "s.get_secret('a')"),
    ("from requests_oauthlib import OAuth1Session\no = OAuth1Session('k')", "o.fetch_request_token('u')"),
    ("from authlib.integrations.requests_client import OAuth2Session\no = OAuth2Session('k')", "o.get('u', timeout=5)"),
    ("from google.oauth2.credentials import Credentials\nc = Credentials.from_authorized_user_info({})", "c.refresh(None)"),
    ("from mailjet_rest import Client\nm = Client(auth=('a', 'b'))", "m.send.create(data={})"),
    ("import sib_api_v3_sdk as brevo\nb = brevo.TransactionalEmailsApi()", "b.send_transac_email({})"),
    ("import africastalking", "africastalking.SMS.send('a', ['1'])"),
    ("from openai import OpenAI\nc = OpenAI()", "c.beta.threads.runs.create_and_poll(thread_id='a')"),
    ("from vertexai.generative_models import GenerativeModel\ng = GenerativeModel('m')", "g.generate_content('a')"),
    ("from google import genai\nc = genai.Client()", "c.chats.create(model='m').send_message('a')"),
    ("import fal_client", "fal_client.subscribe('m', arguments={})"),
    (
        "from azure.storage.blob import BlobServiceClient\nb = BlobServiceClient.from_connection_string('x')",
        "b.get_blob_client('a', 'b').upload_blob(b'')",
    ),
]
WAITING = [
    ("from openai import AsyncOpenAI\nc = AsyncOpenAI()", "await c.chat.completions.create(model='x', messages=[])"),
    ("from google import genai\nc = genai.Client()", "await c.aio.models.generate_content(model='m', contents='a')"),
    ("from google import genai\nc = genai.Client()", "c.chats.create(model='m')"),
    ("from requests_oauthlib import OAuth1Session\no = OAuth1Session('k')", "o.authorization_url('u')"),
    ("from langchain_openai import ChatOpenAI\nmodel = ChatOpenAI()", "await model.ainvoke('x')"),
    ("from langchain_core.prompts import PromptTemplate\np = PromptTemplate.from_template('x')", "p.format(a=1)"),
    ("import chromadb", "await (await chromadb.AsyncHttpClient()).list_collections()"),
    ("from qdrant_client import AsyncQdrantClient\nq = AsyncQdrantClient('u')", "await q.search('a', [1])"),
    (
        "from azure.storage.blob.aio import BlobServiceClient\nb = BlobServiceClient('u')",
        "await b.get_blob_client('a').upload_blob(b'')",
    ),
    ("from azure.storage.blob import BlobServiceClient\nb = BlobServiceClient('u')", "b.get_blob_client('a', 'b').url"),
    ("from nylas import Client\nn = Client(api_key='k')", "n.auth.url_for_oauth2({})"),
    ("from clerk_backend_api import Clerk\nc = Clerk()", "await c.users.get_async(user_id='a')"),
    ("from supabase import acreate_client", "(await (await acreate_client('u', 'k')).table('a').select('*').execute()).data"),
    ("import asyncio\ndone = asyncio.Event()", "await done.wait()"),
    ("import feedparser, httpx\nr = httpx.Response(200)", "feedparser.parse(r.text)"),
    ("import psutil", "psutil.cpu_percent()"),
    ("import psutil", "psutil.cpu_percent(interval=None)"),
    ("from python_on_whales import DockerClient", "DockerClient()"),
    ("import replicate", "await replicate.async_run('m')"),
    ("import paho.mqtt.client as mqtt\nc = mqtt.Client()", "c.publish('a', 'b')"),
    ("import stripe", "stripe.Webhook.construct_event(b'', 'a', 'b')"),
    ("import boto3\ns = boto3.client('s3')", "s.generate_presigned_url('get_object')"),
    ("from google.cloud import pubsub_v1\np = pubsub_v1.PublisherClient()", "p.publish(p.topic_path('a', 'b'), b'')"),
    ("from google.cloud import vision\nc = vision.ImageAnnotatorAsyncClient()", "await c.text_detection(image=None)"),
    ("from kafka import KafkaProducer\np = KafkaProducer()", "p.send('a', b'')"),
    ("from huggingface_hub import AsyncInferenceClient\nh = AsyncInferenceClient()", "await h.text_generation('a')"),
    ("from playwright.async_api import async_playwright", "await (await async_playwright().start()).chromium.launch()"),
    ("from django.db import models\nclass Thing(models.Model): ...", "await Thing.objects.filter(a=1).afirst()"),
    ("from django.db import models\nclass Thing(models.Model): ...", "Thing.objects.filter(a=1).order_by('b')"),
    ("first, second = {'a': 1}, {'b': 2}", "(first | second).get('a')"),
    ("import typing", "typing.cast(int | None, 1)"),
]


def _found(made: str, does: str) -> bool:
    endpoint = f"@app.get('/')\nasync def read():\n    return {does}"
    source = f"from fastapi import FastAPI\n{made}\napp = FastAPI()\n\n{endpoint}\n"
    report = check(project({"main.py": source}), Config(), rules=[catalogue()["concurrency/blocking-call-in-async"]])
    assert not report.failures
    assert not report.not_checked
    return bool(report.findings)


def _named(cases: Iterable[tuple[str, str]]) -> list[object]:
    return [pytest.param(made, does, id=does) for made, does in cases]


@pytest.mark.parametrize(("made", "does"), _named(BLOCKING))
def test_a_client_that_holds_the_loop_is_found(made: str, does: str) -> None:
    """Each of these answers when another machine has."""
    assert _found(made, does)


@pytest.mark.parametrize(("made", "does"), _named(WAITING))
def test_a_client_that_lets_the_loop_go_on_is_not(made: str, does: str) -> None:
    """What is awaited, what only builds a request, and what a library's own thread does."""
    assert not _found(made, does)


PATTERNS = [(kind, pattern) for kind, patterns in blocking._PATTERNS.items() for pattern in patterns]


@pytest.mark.parametrize(("kind", "pattern"), PATTERNS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_pattern_is_asked_for_whatever_it_matches(kind: str, pattern: str, data: st.DataObject) -> None:
    """Only the patterns of a path's own package are compiled, and none is left out that would match."""
    path = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    assume("\n" not in path)
    assert blocking.kind(path) is not None, kind
