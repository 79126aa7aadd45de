"""A query runs once per row.

A list of a hundred orders makes a hundred and one queries, each a round trip: fast with the test data, slow with the
customer's, and the database's connection is held for all of it. It is the same behind a repository's `get`, and where a loop
reads a relationship that the query did not load: `order.customer.name`.

Ask once: `where(Model.id.in_(ids))`, a join, or `selectinload`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.facts.iteration import Loop, body, generators, is_fixed, is_of_portions
from fastness.tool.check.knowledge.facts.reach import from_requests_and_tasks
from fastness.tool.check.knowledge.running import queries, repeated, rows
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Function
from fastness.tool.project.source.walk import own

_END = frozenset({"next", "anext", "any", "all"})


@rule(severity=Severity.WARNING, practice="7.3", help="ask once for all of them: `in_()`, a join, or `selectinload`")
def check(service: Service) -> Iterator[Found]:
    reached = from_requests_and_tasks(service)
    for module in service.project.service:
        for function in module.functions:
            if function in reached:
                yield from service.notes.search("queries in loops", function, partial(_of, service, function))
                yield from service.notes.search("rows read in loops", function, partial(_reads_rows, service, function))


def _of(service: Service, function: Function) -> Iterator[Found]:
    if not any(site.looped for site in function.calls):
        return
    sites = {
        id(site.node): site for site in function.calls if site.looped and not site.deferred and queries.asks(service, site)
    }
    through: dict[int, Evidence] = {}
    less_plain: set[int] = set()
    for edge in service.graph.edges(function):
        short = queries.looks_up(service, edge.target) if edge.site.looped else None
        asking = short or (queries.asks_first(service, edge.target) if edge.site.looped else None)
        if asking is not None:
            less_plain |= {id(edge.site.node)} if short is None else set()
            sites[id(edge.site.node)] = edge.site
            through[id(edge.site.node)] = proof(asking.scope, asking.node, f"{asking.scope.qualified} asks the database")
    if not sites:
        return
    # `next(user for id in ids if (user := get(id)))` ends with the first that is found, as a `break` does.
    ending = {id(one) for site in function.calls if ast.unparse(site.node.func) in _END for one in site.node.args[:1]}
    # One after the other is what remains when all at once have failed; what asks for a portion asks for many.
    handlers = (handler for node in function.of(ast.Try) for handler in node.handlers)
    ending |= {id(node) for handler in handlers for node in own(handler.body)}
    portions = [loop for loop in function.nodes if isinstance(loop, Loop) and is_of_portions(loop)]
    spared = {id(node) for loop in portions for node in own(body(loop))}
    for loop in function.nodes:
        if not isinstance(loop, Loop) or id(loop) in ending or is_fixed(service, loop, function):
            continue
        inside = [sites.pop(id(node)) for node in own(body(loop)) if id(node) in sites and id(node) not in spared]
        inside = [
            site
            for site in inside
            if (repeated.asks_for_each(loop, site) if id(site.node) in through else repeated.asks_each_time(loop, site))
        ]
        if inside:
            first = min(inside, key=lambda site: (id(site.node) in less_plain, site.node.lineno))
            message = f"{function.qualified} asks the database once per {ast.unparse(generators(loop)[0].target)}"
            evidence = [proof(function, loop, "the loop"), *(through[id(s.node)] for s in inside if id(s.node) in through)]
            evidence += [proof(function, site.node, "and here") for site in inside if site is not first]
            yield found(function, first.node, message, *evidence, count=len(inside))


def _reads_rows(service: Service, function: Function) -> Iterator[Found]:
    for loop, node, base, binding in rows.read(service, function):
        name = f"{base.name}.{node.attr}"
        message = f"{function.qualified} loads {name} from the database once per {ast.unparse(generators(loop)[0].target)}"
        evidence = (proof(function, loop, "the loop"), proof(base, binding.node, "it is loaded when it is read"))
        yield found(function, node, message, *evidence)


EXAMPLES = [
    Bad("""
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        from app.models import Order
        app, get_db = FastAPI(), sessionmaker()
        @app.post("/orders/batch")
        def create(names: list[str], db: Session = Depends(get_db)):
            orders = [Order(name) for name in names]
            db.add_all(orders)
            db.commit()
            for order in orders:
                db.refresh(order)  # found
            return orders
        # file: app/models.py
        class Order:
            def __init__(self, name): ...
    """),
    Bad("""
        from fastapi import Depends, FastAPI
        from sqlalchemy import select
        from sqlalchemy.orm import Session, sessionmaker
        app, get_db = FastAPI(), sessionmaker()
        def load(db: Session, ids: list[int]):
            result = []
            for id in ids:
                result.append(db.query(int).filter(id).first())  # found
            return result
        @app.get("/")
        def root(db: Session = Depends(get_db)):
            for order in load(db, []):
                statement = select(int).where(order.id)
                db.execute(statement)  # found
    """),
    Bad("""
        from fastapi import BackgroundTasks, Depends, FastAPI
        from sqlalchemy import func, select
        from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
        class Base(DeclarativeBase): ...
        class Item(Base):
            __tablename__ = "items"
        app, get_db = FastAPI(), sessionmaker()
        @app.post("/import")
        def load(names: list[str], db: Session = Depends(get_db)):
            for name in names:
                last = db.query(func.max(Item.position)).scalar()  # found
                db.add(Item(name=name, position=last + 1))
        def fill(names):
            db = get_db()
            for name in names:
                db.query(Item).filter(Item.name == name).first()  # found
        @app.post("/later")
        def later(names: list[str], tasks: BackgroundTasks):
            tasks.add_task(fill, names)
    """),
    Bad("""
        # file: app/models.py
        from django.db import models
        class Named(models.Model):
            name = models.CharField()
        class Agent(Named): ...
        # file: app/main.py
        from fastapi import FastAPI
        from app.models import Agent
        app = FastAPI()
        @app.get("/agents")
        async def agents(names: list[str]):
            return [await Agent.objects.filter(name=name).afirst() for name in names]  # found
    """),
    Bad("""
        # file: app/main.py
        from beanie import Document
        from fastapi import FastAPI
        from motor.motor_asyncio import AsyncIOMotorDatabase
        from supabase import create_client
        from tortoise.models import Model
        app, tables = FastAPI(), create_client("https://example.org", "key")
        class Shop(Model): ...
        class Parcel(Document): ...
        async def arrived(numbers: list[str], database: AsyncIOMotorDatabase):
            for i in range(len(numbers)):
                await database["parcels"].update_one({"number": numbers[i]}, {"$set": {"arrived": True}})  # found
        @app.get("/shops")
        async def shops(towns: list[str]):
            return [await Shop.filter(town=town).order_by("id") for town in towns]  # found
        @app.get("/parcels")
        async def parcels(numbers: list[str]):
            await arrived(numbers, None)
            return [await Parcel.find_one(Parcel.number == number) for number in numbers]  # found
        @app.post("/notes")
        def write(notes: list[str]):
            for note in notes:
                tables.table("notes").insert({"text": note}).execute()  # found
    """),
    Good(
        """
        from fastapi import FastAPI
        from tortoise.expressions import Q
        from tortoise.models import Model
        app = FastAPI()
        class Shop(Model): ...
        @app.get("/shops")
        async def shops(towns: list[str]):
            wanted = Shop.all()
            for town in towns:
                wanted = wanted.exclude(town=town)
            return await wanted
    """,
        "a query is put together, and asked once",
    ),
    Good(
        """
        from fastapi import FastAPI
        from motor.motor_asyncio import AsyncIOMotorClient
        app, database = FastAPI(), AsyncIOMotorClient("mongodb://mongo").post
        async def shop_in(town):
            return await database.shops.find_one({"town": town})
        @app.post("/parcels")
        async def arrived(numbers: dict[str, list[str]], known: list):
            for town, of_town in numbers.items():
                for i in range(0, len(of_town), 500):
                    await database.parcels.insert_many({"town": town, "number": n} for n in of_town[i : i + 500])
            try:
                await database.towns.insert_many({"name": town} for town in numbers)
            except ValueError:
                for town in numbers:
                    await database.towns.insert_one({"name": town})
            for shop in known:
                if shop.id == numbers["shop"]:
                    await database.shops.update_one({"_id": shop.id}, {"$inc": {"parcels": 1}})
            for town in sorted(numbers):
                shop = await shop_in(town)
                if shop is not None and shop["open"]:
                    return shop["name"]
            return None
    """,
        "portions, one of many, what is left when all at once have failed, and a search for the first that will do",
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy import insert, select, text
        from sqlalchemy.orm import Session, sessionmaker
        app, get_db = FastAPI(), sessionmaker()
        @app.post("/tables")
        def create(statements: list[str], tables: list, db: Session = Depends(get_db)):
            for statement in statements:
                db.execute(text(statement))
            for table in tables:
                sql = table.as_sql()
                db.execute(text(sql))
            for name in statements:
                if db.scalar(select(int)):
                    break
            rows = []
            for name in statements:
                rows.append({"name": name})
                if len(rows) >= 1000:
                    db.execute(insert(tables[0]), rows)
    """,
        "each turn runs another statement, the loop only waits for something, or it collects what one statement writes",
    ),
    Bad("""
        from typing import Annotated, Protocol
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        app = FastAPI()
        Local = sessionmaker()
        class Customers(Protocol):
            def get(self, id: int): ...
        class SqlCustomers:
            def __init__(self, session: Session):
                self.session = session
            def get(self, id: int):
                return self.session.get(dict, id)
        def customers() -> Customers:
            return SqlCustomers(Local())
        def address_of(id, customers: Customers):
            return customers.get(id)
        @app.get("/addresses")
        def addresses(ids: list[int], customers: Annotated[Customers, Depends(customers)]):
            return [address_of(id, customers) for id in ids]  # found
        @app.get("/invoices")
        def invoices(ids: list[int], customers: Annotated[Customers, Depends(customers)]):
            return [customer for id in ids for customer in named(id, customers)] + several(ids, customers)  # found
        def several(ids, customers: Customers):
            found = []
            for id in ids:
                found.append(customers.get(id))  # found
            return found
        def named(id, customers: Customers):
            return [customers.get(id)]
        def planned(db: Session, shop):
            taken = db.query(dict).filter(dict.shop == shop.id).all()
            first = last = pause = None
            for one in taken:
                if one.pauses:
                    pause = one.start; continue
                first = min(first or one.start, one.start)
                last = max(last or one.end, one.end); total = last - first
                mean = total / len(taken); rest = total - mean; best = rest - 1
            return first, last, pause
        def opened(db: Session, shop):
            if shop.closed:
                return []
            begin = shop.begin; end = shop.end; first = begin + 1; last = end - 1
            middle = first + last; half = middle / 2; third = half / 2; rest = third - half
            some = rest + 1; more = some + 1
            return [begin, end, more, *db.query(dict).filter(dict.shop == shop.id).all()]
        @app.get("/slots")
        def slots(shops: list, db: Session = Depends(Local)):
            known = [opened(db, shop) for shop in shops]
            return known, [planned(db, shop) for shop in shops]  # found
    """),
    Good(
        """
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        app, get_db = FastAPI(), sessionmaker()
        def customer(db: Session, id: int):
            return db.get(dict, id)
        def sessions():
            yield get_db()
        def several(db: Session, orders):
            return db.query(dict).filter(orders).all()
        def bill(db: Session, order):
            db.add(order)
            db.commit()
            return db.get(dict, order.id)
        @app.get("/invoices")
        def invoices(orders: list[dict], db: Session = Depends(get_db)):
            known = {}
            for order in orders:
                if order["customer"] not in known:
                    known[order["customer"]] = customer(db, order["customer"])
                bill(db, order)
            for order in orders:
                if order["id"] == 1:
                    return customer(db, order["customer"])
            for order in orders:
                if customer(db, order["customer"]):
                    break
            first = next((known for order in orders if (known := customer(db, order["id"]))), None)
            if first or any(customer(db, order["id"]) for order in orders):
                return first
            for session in sessions():
                customer(session, order)
            batches = [orders[start : start + 100] for start in range(0, len(orders), 100)]
            for batch in batches:
                several(db, batch)
            return [customer(db, id) for id in (1, 2)]
    """,
        "what is looked up once or for many at once, what ends the loop, and what does more than to look up",
    ),
    Good(
        """
        from enum import Enum
        from itertools import batched
        from fastapi import Depends, FastAPI
        from sqlalchemy.orm import Session, sessionmaker
        class Color(Enum):
            RED = 1
        TABLES = ["a", "b"]
        app = FastAPI()
        get_db = sessionmaker()
        @app.get("/")
        def root(db: Session = Depends(get_db)):
            for color in Color:
                db.query(color).all()
            for table in TABLES:
                db.execute(table)
            for attempt in range(3):
                db.execute(attempt)
            for row in db.query(int).all():
                print(row)
        @app.post("/import")
        def load(ids: list[int], db: Session = Depends(get_db)):
            for portion in batched(ids, 500):
                db.execute(select(int).where(int.in_(portion)))
            for offset in range(0, 10_000, 1_000):
                db.scalars(select(int).offset(offset)).all()
    """,
        "the loop goes over a fixed number, or over pages and portions, and each query asks for many",
    ),
    Good(
        """
        import httpx
        from fastapi import Depends, FastAPI
        from sqlalchemy import select
        from sqlalchemy.orm import Session, sessionmaker
        app = FastAPI()
        get_db = sessionmaker()
        @app.get("/orders")
        def orders(db: Session = Depends(get_db)):
            prices = dict(db.execute(select(int, int)).all())
            found = []
            for order in db.scalars(select(int)).all():
                found.append(prices.get(order))
                db.add(order)
            return found
    """,
        "what is in the loop asks a dictionary, another service or the session's own memory",
    ),
]
