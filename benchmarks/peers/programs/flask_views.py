"""The usual Flask gateway in front of Celery, and one that only enqueues.

`usual` is what a team writes first and keeps: PyJWT for who calls, pydantic for what, SQLAlchemy's ORM with a
pooled session for the row, and the task's `apply_async` after the commit, as its id must be there when the
worker looks. `bare` does nothing but `apply_async`.
"""

from __future__ import annotations

import os
import uuid
from datetime import datetime
from typing import Any

import jwt
from celery import Celery
from flask import Flask, Response, g, jsonify, request
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import DateTime, Text, create_engine, func, make_url
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

SECRET = os.environ["SECRET_KEY"]
THREADS = 16
celery = Celery("peer", broker=os.environ["PEER_BROKER"])
celery.conf.update(task_ignore_result=True, broker_pool_limit=THREADS)
database_url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg2")
engine = create_engine(database_url, pool_size=THREADS)
Session = sessionmaker(engine, expire_on_commit=False)
app = Flask(__name__)


class Base(DeclarativeBase):
    """Of the peer's one table."""


class Job(Base):
    """What was accepted."""

    __tablename__ = "peer_jobs"
    id: Mapped[uuid.UUID] = mapped_column(UUID, primary_key=True, default=uuid.uuid4)
    owner: Mapped[str] = mapped_column(Text, index=True)
    state: Mapped[str] = mapped_column(Text, default="queued")
    model: Mapped[str] = mapped_column(Text)
    input: Mapped[Any] = mapped_column(JSONB)
    params: Mapped[Any] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class JobRequest(BaseModel):
    """The body."""

    model: str
    input: str = Field(max_length=1_000_000)
    priority: str = "normal"
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)


@celery.task(name="peer.run")
def run(job_id: str) -> None:
    """Nobody runs it here."""


def create_tables() -> None:
    """Once, before the server starts."""
    Base.metadata.create_all(engine)


def token() -> str:
    """What a caller sends."""
    return jwt.encode({"sub": "bench"}, SECRET, algorithm="HS256")


@app.before_request
def authenticate() -> tuple[Response, int] | None:
    """Who calls; the bare view does not ask."""
    if request.path == "/bare":
        return None
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme != "Bearer":
            return jsonify(error="unauthorized"), 401
        g.owner = jwt.decode(credentials, SECRET, algorithms=["HS256"])["sub"]
    except jwt.PyJWTError:
        return jsonify(error="unauthorized"), 401
    return None


@app.post("/usual")
def usual() -> tuple[Response, int]:
    """Validate, store, enqueue."""
    try:
        wanted = JobRequest.model_validate_json(request.get_data())
    except ValidationError as error:
        return jsonify(errors=error.errors(include_url=False)), 422
    params = wanted.model_dump(include={"temperature", "max_tokens"}, exclude_none=True)
    with Session() as session:
        job = Job(owner=g.owner, model=wanted.model, input=wanted.input, params=params)
        session.add(job)
        session.commit()
        job_id = str(job.id)
    run.apply_async((job_id,), task_id=job_id)
    return jsonify(id=job_id, state="queued"), 202


@app.post("/bare")
def bare() -> tuple[Response, int]:
    """Enqueue."""
    task = run.apply_async((request.get_json()["input"],))
    return jsonify(id=task.id, state="queued"), 202
