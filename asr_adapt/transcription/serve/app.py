"""The routes: the page, and OpenAI's interface.

Knows FastAPI, and where an upload lies. Does not know limits (``gate``, ``queue``), nor how a transcript is
made (``work``). A request never names a file: uploads are written under a name of our own in the folder of
this process.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from asr_adapt.decoding.hotwords import Listed, words_in
from asr_adapt.errors import AsrAdaptError, UsageError, shown
from asr_adapt.transcription.result import Transcript
from asr_adapt.transcription.serve.asked import FORMATS, Asked
from asr_adapt.transcription.serve.corrections import MOST_NAME, Correction
from asr_adapt.transcription.serve.gate import FAILED, error_body
from asr_adapt.transcription.serve.queue import Queue, QueuePlace
from asr_adapt.transcription.serve.refused import ClientGone, Refused
from asr_adapt.transcription.serve.settings import ServerSettings
from asr_adapt.transcription.serve.work import Job, Work, unheard
from asr_adapt.transcription.writing.writers import render

#: What a browser does not send to another site without asking that site first.
MEDIA_TYPE = "application/octet-stream"


class TranslationForm(BaseModel):
    """Fields of ``POST /v1/audio/translations``."""

    file: UploadFile
    model: str = ""
    prompt: str = ""
    response_format: str = "json"
    temperature: float = 0.0

    def asked(self) -> Asked:
        """What is asked for; raises :class:`Refused` for what is not offered."""
        return Asked(self.model, None, self.prompt, self.response_format, self.temperature, task="translate")


class TranscriptionForm(TranslationForm):
    """Fields of ``POST /v1/audio/transcriptions``; ``hotwords``, with commas between, are ours."""

    language: str = ""
    granularities: list[str] = Field(default_factory=list, alias="timestamp_granularities[]")
    hotwords: str = ""
    stream: bool = False

    def asked(self) -> Asked:
        """What is asked for; raises :class:`Refused` for what is not offered."""
        if self.stream:
            raise Refused(HTTPStatus.BAD_REQUEST, "stream is not supported: remove it.")
        hot = _listed(self.hotwords)
        plain = super().asked()
        language = self.language or None
        return replace(
            plain, language=language, granularities=self.granularities, hotwords=hot, task="transcribe"
        )


class CorrectionForm(BaseModel):
    """Fields of ``POST /v1/corrections``: a recording, and what is right between two of its seconds."""

    file: UploadFile
    start: float
    end: float
    text: str
    original: str = ""
    model: str = ""
    language: str = ""
    replaces: str = ""

    def correction(self) -> Correction:
        """What is to be kept; raises :class:`Refused` for what cannot be."""
        return Correction(
            self.start, self.end, self.text, self.original, self.model, self.language,
            recording=shown(self.file.filename or "")[:MOST_NAME], replaces=self.replaces,
        )  # fmt: skip


def _listed(text: str) -> Listed:
    """The words of a request, which never names a file."""
    try:
        return dict(words_in(text)) if text.strip() else {}
    except UsageError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, str(error).removeprefix("--")) from error


class Service:
    """What the routes do; ``folder`` holds the uploads."""

    def __init__(self, settings: ServerSettings, folder: Path, queue: Queue, work: Work) -> None:
        self.settings, self.folder, self.queue, self.work = settings, folder, queue, work

    def upload(self) -> tuple[Path, ExitStack]:
        """A path for one recording, and what removes it."""
        own = Path(tempfile.mkdtemp(prefix="upload-", dir=self.folder))
        kept = ExitStack()
        kept.callback(shutil.rmtree, own, ignore_errors=True)
        return own / "upload", kept

    async def transcribed(self, request: Request, asked: Asked, path: Path, kept: ExitStack) -> Transcript:
        """The transcript of the recording at ``path``, which is removed once nobody reads it."""
        place: QueuePlace = request.scope["place"]
        try:
            recogniser = asked.recogniser(self.settings)
            options = asked.options(self.settings)
        except BaseException:
            kept.close()
            raise
        kept.callback(place.leave)
        request.scope["kept"] = True
        return await self.work.transcribed(Job(path, recogniser, options, place, kept), _left(request))

    def state(self) -> dict[str, Any]:
        """What the server holds."""
        requests, bytes_, seconds = self.queue.sums()
        return {
            "status": "ok",
            "requests": requests,
            "bytes": bytes_,
            "audio_seconds": round(seconds, 3),
        }


def make_app(service: Service) -> FastAPI:
    """The application; it stands behind a :class:`~asr_adapt.transcription.serve.gate.Gate`."""
    app = FastAPI(title="asr-adapt", docs_url=None, redoc_url=None)
    page = (files("asr_adapt.transcription.serve") / "page.html").read_text(encoding="utf-8")
    settings = service.settings

    @app.get("/", include_in_schema=False)
    async def show_page() -> Response:
        return Response(page, media_type="text/html; charset=utf-8")

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return service.state()

    @app.get("/models", include_in_schema=False)
    async def names() -> dict[str, Any]:
        return {"models": list(settings.models), "corrections": settings.corrections is not None}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        found = [{"id": n, "object": "model", "created": 0, "owned_by": "asr-adapt"} for n in settings.models]
        return {"object": "list", "data": found}

    @app.post("/transcribe", include_in_schema=False)
    async def transcribe(request: Request, model: str = "") -> Response:
        asked = Asked(model=model, format="verbose_json", granularities=("segment", "word"))
        asked.name(settings)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the recording as {MEDIA_TYPE}.")
        path, kept = service.upload()
        try:
            with path.open("wb") as handle:
                async for block in request.stream():
                    handle.write(block)
        except BaseException:
            kept.close()
            raise
        found = await service.transcribed(request, asked, path, kept)
        value = found.to_json() | {"compute_seconds": round(found.compute_seconds, 3)}
        return JSONResponse(value | {name: render(found, name) for name in ("srt", "vtt", "txt")})

    _add_openai(app, service)
    _add_corrections(app, service)
    _add_errors(app)
    return app


def _add_openai(app: FastAPI, service: Service) -> None:
    """OpenAI's two routes, which differ in their task."""

    async def answered(request: Request, file: UploadFile, asked: Asked) -> Response:
        asked.name(service.settings)
        path, kept = service.upload()
        try:
            with path.open("wb") as handle:
                await run_in_threadpool(shutil.copyfileobj, file.file, handle)
        except BaseException:
            kept.close()
            raise
        found = await service.transcribed(request, asked, path, kept)
        value = asked.answer(found)
        if isinstance(value, str):
            return Response(value, media_type=FORMATS[asked.format])
        return JSONResponse(value)

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request, form: Annotated[TranscriptionForm, Form()]) -> Response:
        return await answered(request, form.file, form.asked())

    @app.post("/v1/audio/translations")
    async def translations(request: Request, form: Annotated[TranslationForm, Form()]) -> Response:
        return await answered(request, form.file, form.asked())


def _add_corrections(app: FastAPI, service: Service) -> None:
    """The route by which the page, or a program, keeps what a person mended."""

    @app.post("/v1/corrections", status_code=HTTPStatus.CREATED)
    async def corrections(form: Annotated[CorrectionForm, Form()]) -> Response:
        kept_in = service.settings.corrections
        if kept_in is None:
            sentence = "This server keeps no corrections: start it with --corrections FOLDER."
            raise Refused(HTTPStatus.FORBIDDEN, sentence)
        correction = form.correction()
        path, kept = service.upload()

        def saved() -> dict[str, Any]:
            try:
                with path.open("wb") as handle:
                    shutil.copyfileobj(form.file.file, handle)
                return kept_in.add(path, correction)
            except AsrAdaptError as error:
                raise unheard(error, path) from error

        with kept:
            return JSONResponse(await run_in_threadpool(saved), HTTPStatus.CREATED)


def _add_errors(app: FastAPI) -> None:
    """Every error as OpenAI's clients read it."""

    def told(status: int, message: str) -> JSONResponse:
        return JSONResponse(error_body(Refused(HTTPStatus(status), message)), status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = str(first["loc"][-1])
        return told(HTTPStatus.BAD_REQUEST, f"{field}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        sentences = {404: "There is no such page.", 405: "This address does not take such requests."}
        return told(error.status_code, sentences.get(error.status_code, str(error.detail)))

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        after = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return JSONResponse(error_body(error), int(error.status), headers=after)

    @app.exception_handler(ClientGone)
    async def gone(request: Request, error: ClientGone) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return told(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)  # the gate tells what on the console

    @app.exception_handler(AsrAdaptError)
    async def wrong(request: Request, error: AsrAdaptError) -> Response:
        return told(HTTPStatus.BAD_REQUEST, str(error))


def _left(request: Request) -> Any:
    """Returns once the client has closed its connection; it sends nothing behind its request."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return wait
