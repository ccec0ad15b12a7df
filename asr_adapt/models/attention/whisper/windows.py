"""Windows of long audio as Whisper hears them: timed phrases, doubt and silence, words from cross-attention.

Knows one window at a time and what was said before it. Does not know how windows follow each other
(:mod:`asr_adapt.transcription.longform`). Sources: OpenAI's whisper/decoding.py and transcribe.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from asr_adapt.models.attention.seq2seq import Seq2SeqRecogniser
from asr_adapt.models.attention.whisper.decoding import WhisperDecoding
from asr_adapt.models.attention.whisper.phrases import confidence_of, ended, spoken_only
from asr_adapt.models.attention.whisper.timestamps import PhraseSpan, TimedRules, spans
from asr_adapt.models.attention.whisper.tokens import WhisperTokens
from asr_adapt.models.contract import Hidden
from asr_adapt.models.hypothesis import Decoded, HeardWindow, Phrase, Window
from asr_adapt.models.search.checks import Doubt, doubt, most_tokens, transcribed
from asr_adapt.models.search.generation import EncoderOutput, Rules, Spoken
from asr_adapt.models.search.repetition import compression
from asr_adapt.models.words.holes import early_end, holes, slow
from asr_adapt.models.words.limits import limited
from asr_adapt.models.words.times import words_of

#: A language that is not the expected one is believed from this probability on.
CERTAIN = 0.9
#: Attempts at a window that can be heard in halves instead: the first, and one at the next temperature.
SOON = 2


class WhisperParts(Seq2SeqRecogniser):
    """A recogniser with the tokens and the decoding of Whisper, which its windows need."""

    tokens: WhisperTokens
    decoding: WhisperDecoding


class WhisperWindows:
    """Hears windows with ``recogniser``, under its settings and its search."""

    def __init__(self, recogniser: WhisperParts) -> None:
        self.recogniser, self.tokens = recogniser, recogniser.tokens
        self.decoding = recogniser.decoding

    @torch.inference_mode()
    def __call__(self, windows: Sequence[Window], *, words: bool = False) -> list[HeardWindow]:
        """What is said in each window; a row does not depend on the others."""
        own = self.recogniser
        hidden = own.heard([window.samples for window in windows])
        heard = replace(self.decoding.heard(hidden), most=self._room(windows))
        decoded = self._begun(heard, windows)
        given = [self._given(window, found) for window, found in zip(windows, decoded, strict=True)]
        spoken = self._spoken(heard, given, decoded, [window.divisible for window in windows])
        decoded = [self._figures(said, about) for said, about in zip(spoken, decoded, strict=True)]
        found = [
            self._window(said, about, window)
            for said, about, window in zip(spoken, decoded, windows, strict=True)
        ]
        unended = {row for row, one in enumerate(found) if self._unended(spoken[row], one)}
        hiding = {
            row for row, one in enumerate(found) if any(self._slow(p, windows[row]) for p in one.phrases)
        }
        for row in unended & hiding:
            found[row] = self._stopped(found[row], windows[row])
        timed = list(range(len(found))) if words else sorted(unended | hiding)
        plain = [self._text(spoken[row]) for row in timed]
        ends = [found[row].until if row in unended & hiding else None for row in timed]
        times = self._times(hidden, plain, timed, windows, decoded, ends) if timed else []
        for row, (said, own_times) in zip(timed, times, strict=True):
            if row in unended - hiding:
                found[row] = ended(found[row], own_times[-1])
            if words or row in hiding:
                found[row] = self._with_words(found[row], said, own_times)
        for row, window in enumerate(windows):
            found[row] = self._with_holes(found[row], window, words=words)
        return [spoken_only(row) for row in found]

    def _stopped(self, heard: HeardWindow, window: Window) -> HeardWindow:
        """A phrase that no timestamp closes and that says little: the decoder stopped long before the end."""
        phrase = heard.phrases[0]
        tokens = sum(not self._special(token) for token in phrase.tokens)
        end = min(heard.until, early_end(tokens, window.speech))
        return replace(heard, phrases=(replace(phrase, end=end),), until=end)

    def _slow(self, phrase: Phrase, window: Window) -> bool:
        """Whether a phrase may hide speech that was passed over."""
        return slow(phrase, sum(not self._special(token) for token in phrase.tokens), window.speech)

    def _with_holes(self, heard: HeardWindow, window: Window, *, words: bool) -> HeardWindow:
        """With the speech in which no word lies: between phrases, and in slow phrases between words."""
        spoken: list[tuple[float, float]] = []
        for phrase in heard.phrases:
            inner = phrase.words if phrase.words and self._slow(phrase, window) else ()
            if phrase.text:
                spoken += [(word.start, word.end) for word in inner] or [(phrase.start, phrase.end)]
        phrases = heard.phrases if words else tuple(replace(phrase, words=()) for phrase in heard.phrases)
        return replace(heard, phrases=phrases, holes=holes(spoken, window.speech))

    def _times(
        self,
        hidden: Hidden,
        plain: Sequence[Spoken],
        rows: Sequence[int],
        windows: Sequence[Window],
        decoded: Sequence[Decoded],
        ends: Sequence[float | None],
    ) -> list[tuple[Spoken, list[float]]]:
        """The tokens ``plain`` of some rows with their seconds, from cross-attention up to their ``ends``."""
        part = Hidden(hidden.states[list(rows)], hidden.lengths[list(rows)])
        rate = self.recogniser.sample_rate
        lengths = [
            len(windows[row].samples) if end is None else round(end * rate)
            for row, end in zip(rows, ends, strict=True)
        ]
        frames = [self.recogniser.clip_frames(length) for length in lengths]
        prefixes = [self._prefix(decoded[row], timed=False) for row in rows]
        return self.recogniser.aligned(part, plain, frames, prefixes)

    def _unended(self, said: Spoken, heard: HeardWindow) -> bool:
        """Whether the transcript is one phrase that no timestamp closes: nobody knows when it ended."""
        return len(heard.phrases) == 1 and bool(said.ids) and not self._special(said.ids[-1])

    def _room(self, windows: Sequence[Window]) -> tuple[int, ...]:
        return most_tokens([len(window.samples) / self.recogniser.sample_rate for window in windows])

    def _begun(self, heard: EncoderOutput, windows: Sequence[Window]) -> list[Decoded]:
        """Language and probability of silence of each window."""
        opening = self.decoding.opening(heard)
        return [
            self._language(window, shares, share)
            for window, shares, share in zip(windows, opening.languages, opening.silence, strict=True)
        ]

    def _language(self, window: Window, shares: dict[str, float], quiet: float | None) -> Decoded:
        if not self.tokens.multilingual:
            return Decoded(no_speech=quiet, language="en")
        own = self.recogniser.settings.language or self.tokens.saved_language
        saved = window.language or (None if window.detect else own)
        likely = max(shares, key=shares.__getitem__)
        if window.detect and (saved is None or shares[likely] >= CERTAIN):
            return Decoded(no_speech=quiet, language=likely, language_probability=shares[likely])
        code = self.tokens.language_code(saved or likely)
        return Decoded(no_speech=quiet, language=code, language_probability=shares.get(code))

    def _prefix(self, decoded: Decoded, *, timed: bool) -> list[int]:
        language = decoded.language if self.tokens.multilingual else None
        return self.tokens.prefix(language, self.recogniser.settings.task, timestamps=timed)

    def _given(self, window: Window, decoded: Decoded) -> list[int]:
        """Prompt, previous text and prefix; the previous text gives way where both do not fit."""
        prompt, previous = self.decoding.prompt_ids(), self.tokens.previous
        room = self.recogniser.positions // 2 - 1 - len(prompt)
        past = list(window.previous[-room:]) if room > 0 else []
        front = [previous, *prompt, *past] if previous is not None and (prompt or past) else []
        return front + self._prefix(decoded, timed=self.timed)

    @property
    def timed(self) -> bool:
        """Whether transcripts have timestamps: where they are wanted, and the checkpoint says them."""
        return self.decoding.options.timestamps and self.tokens.says_timestamps

    def _spoken(
        self,
        heard: EncoderOutput,
        given: Sequence[Sequence[int]],
        decoded: Sequence[Decoded],
        divisible: Sequence[bool],
    ) -> list[Spoken]:
        """What is said in each row; rows that were given equally many tokens are decoded together.

        What is doubtful in a ``divisible`` row is tried ``SOON`` times only.
        """
        groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for row, ids in enumerate(given):
            groups[(len(ids), divisible[row])].append(row)
        found: list[Spoken] = [Spoken((), ())] * len(given)
        for (length, divides), rows in groups.items():
            part = heard if len(groups) == 1 else heard.rows(rows)
            front = torch.tensor([given[row] for row in rows], device=heard.states.device)
            silence = [decoded[row].no_speech for row in rows]

            def doubted(row: int, said: Spoken, silence: list[float | None] = silence) -> Doubt:
                return Doubt.none if self._quiet(said, _known(silence[row], said)) else self._doubt(said)

            search = self.decoding.options
            if divides:
                search = replace(search, temperatures=search.temperatures[:SOON])
            ready, attempt = replace(part, given=front), self.decoding.attempt
            said = transcribed(attempt, ready, self._rules(length), search, doubted)
            for row, own in zip(rows, said, strict=True):
                found[row] = own
        return found

    def _rules(self, given: int) -> Rules:
        plain = self.decoding.rules(given)
        if not self.timed:
            return plain
        assert self.tokens.first_timestamp is not None and self.tokens.no_timestamps is not None
        latest = getattr(self.recogniser.model.generation_config, "max_initial_timestamp_index", None)
        return TimedRules(
            end=plain.end,
            most=min(plain.most, given + self.recogniser.positions // 2),  # as OpenAI's
            never=(*plain.never, self.tokens.no_timestamps),
            not_first=plain.not_first,
            bias=plain.bias,
            first_timestamp=self.tokens.first_timestamp,
            latest_start=50 if latest is None else int(latest),
        )

    def _quiet(self, said: Spoken, silence: float | None) -> bool:
        """Whether nobody speaks: the model says so, and what it wrote is improbable."""
        limit, search = self.decoding.options.no_speech, self.decoding.options
        loud = limit is None or silence is None or silence <= limit
        return not loud and said.mean_score < search.mean_score

    def _doubt(self, said: Spoken) -> Doubt:
        return doubt(said, self._decode(said.ids), self.decoding.options)

    def _decode(self, ids: Sequence[int]) -> str:
        kept = [token for token in ids if token < self.tokens.end or not self._special(token)]
        return str(self.tokens.tokenizer.decode(kept, skip_special_tokens=True))

    def _special(self, token: int) -> bool:
        first = self.tokens.first_timestamp
        return first is not None and token >= first

    def _figures(self, said: Spoken, decoded: Decoded) -> Decoded:
        text = self._decode(said.ids)
        return replace(
            decoded,
            no_speech=_known(decoded.no_speech, said),
            temperature=said.temperature,
            mean_score=said.mean_score,
            compression=compression(text) if text else None,
        )

    def _window(self, said: Spoken, decoded: Decoded, window: Window) -> HeardWindow:
        """The phrases of a window; none where nobody speaks."""
        seconds = len(window.samples) / self.recogniser.sample_rate
        if self._quiet(said, decoded.no_speech):
            return HeardWindow((), seconds, decoded, said.looped)
        cut = window.divisible and said.looped  # what follows a loop was not heard
        checked = self.decoding.options.hallucination_checks
        doubted = checked and (cut or self._doubt(said) is not Doubt.none)
        if doubted and window.divisible:
            return HeardWindow((), seconds, decoded, said.looped, doubted=True)
        first = self.tokens.first_timestamp
        if not self.timed or first is None:
            parts, until = [PhraseSpan(0.0, seconds, 0, len(said.ids))], seconds
        else:
            parts, until = spans(said.ids, first, seconds)
        found = [self._phrase(said, part, decoded) for part in parts]
        return HeardWindow(tuple(found), until, decoded, said.looped, doubted=doubted)

    def _phrase(self, said: Spoken, part: PhraseSpan, decoded: Decoded) -> Phrase:
        ids, scores = said.ids[part.first : part.stop], said.scores[part.first : part.stop]
        words = [score for token, score in zip(ids, scores, strict=True) if not self._special(token)]
        text = self._decode(ids).strip()
        return Phrase(part.start, part.end, text, (), confidence_of(words), tuple(ids), decoded)

    def _text(self, said: Spoken) -> Spoken:
        """The same without timestamps."""
        kept = [place for place, token in enumerate(said.ids) if not self._special(token)]
        ids, scores = [said.ids[p] for p in kept], [said.scores[p] for p in kept]
        return Spoken(tuple(ids), (*scores, 0.0))

    def _with_words(self, heard: HeardWindow, plain: Spoken, times: Sequence[float]) -> HeardWindow:
        """Each phrase with its words; ``times`` has one entry a token of ``plain`` and the end."""
        counts = [sum(not self._special(token) for token in phrase.tokens) for phrase in heard.phrases]
        edges = [0]
        for count in counts:
            edges.append(edges[-1] + count)
        found = []
        for phrase, (a, b) in zip(heard.phrases, pairwise(edges), strict=True):
            own = Spoken(plain.ids[a:b], plain.scores[a:b])
            words = words_of(self.tokens.tokenizer, own, times[a : b + 1])
            found.append(replace(phrase, words=words, confidence=confidence_of(own.scores)))
        until = max([heard.until, *(phrase.end for phrase in found)])
        return replace(heard, phrases=limited(found, until))


def _known(silence: float | None, said: Spoken) -> float | None:
    """The probability that nobody speaks: of the window, or of the attempt where that alone tells."""
    return said.silence if silence is None else silence
