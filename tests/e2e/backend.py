"""A scripted model server: a thread that speaks exact bytes and remembers what it was told.

    backend = Backend(script)          # listens on a loopback port, or on unix:PATH
    def script(peer, request): ...     # called for every complete request, in its own thread

A script writes whatever it wants with peer.send(); when it returns the connection waits for the
next request, unless the script closed it. A GET is what the gateway asks of its own accord (the
model list, health, properties), and so is a POST to /api/show on a connection of its own: it is
answered here, is not a request, and stands in `probes`.
"""

import json
import socket
import threading
import time

from wire import (DEADLINE, Body, Closed, Malformed, Source, find_field, parse_fields, readable,
                  reset, send_in_pieces, wait_until)

DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"


def event(data, name=None):
    """One SSE event; what is not text is written as JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def delta(text, **more):
    """One event of a chat stream with a piece of text."""
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
                  **more})


def finish(reason="stop"):
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage_event(prompt=7, completion=3):
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                  "choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                                           "total_tokens": prompt + completion}})


def head(status=200, reason="OK", **fields):
    """A response head; an underscore in a name is written as a dash."""
    lines = [f"HTTP/1.1 {status} {reason}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sse_head(**fields):
    return head(Content_Type="text/event-stream", Transfer_Encoding="chunked", **fields)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def json_answer(value, status=200, reason="OK", **fields):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return head(status, reason, Content_Type="application/json", Content_Length=len(body),
                **fields) + body


def chat_answer(text="hello", prompt=7, completion=3):
    """A chat answer that is not streamed."""
    return json_answer({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                     "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                  "total_tokens": prompt + completion}})


def loading_answer():
    """What llama-server says while it loads its model."""
    return json_answer({"error": {"message": "Loading model", "type": "unavailable_error",
                                  "code": 503}}, 503, "Service Unavailable")


def answer_chat(peer, request):
    """The default script: a short answer, streamed if that was asked for."""
    if not request.json.get("stream"):
        peer.send(chat_answer())
        return
    extra = usage_event() if request.wants_usage else b""
    peer.send(sse_head() + chunk(delta("hel")) + chunk(delta("lo") + finish()) +
              (chunk(extra) if extra else b"") + chunk(DONE) + LAST_CHUNK)


class Request:
    """One request as it arrived."""

    def __init__(self, source, peer):
        self.peer = peer
        raw = source.until(b"\r\n\r\n", "a request head")
        lines = raw[:-4].split(b"\r\n")
        self.head = raw
        parts = lines[0].split(b" ")
        if len(parts) != 3 or b"\n" in b"".join(lines):
            raise Malformed(f"request head {raw!r}")
        self.method, self.target, self.version = (part.decode("latin-1") for part in parts)
        self.path = self.target.split("?")[0]
        self.fields = parse_fields(lines[1:])
        length = find_field(self.fields, "content-length")
        coding = find_field(self.fields, "transfer-encoding")
        if length is not None and coding is not None:
            raise Malformed("Content-Length beside Transfer-Encoding")
        if coding is not None:
            self.stream = Body(source, "chunked")
        else:
            self.stream = Body(source, "length", int(length or 0))
        self.body = b""

    def read_body(self):
        self.body = self.stream.read_all()
        return self.stream.complete

    def field(self, name):
        return find_field(self.fields, name)

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def wants_usage(self):
        options = self.json.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True


class Peer:
    """One connection from the gateway."""

    def __init__(self, sock):
        self.sock = sock
        self.source = Source(sock)
        self.sent = 0
        self.gone = threading.Event()  # the gateway closed its side, or reset
        self.gone_at = 0.0
        self.closed = False            # we closed
        self.requests = 0

    def send(self, data):
        """Sends all of it; raises Closed when the gateway is gone."""
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as error:
            self.note_gone()
            raise Closed(str(error)) from None
        self.sent += len(data)

    def send_in_pieces(self, data, cuts):
        send_in_pieces(self.sock, data, cuts)

    def flood(self, data, limit):
        """Sends the same bytes again and again until the gateway goes or the limit is reached;
        counts in `sent` what the kernel took."""
        self.sock.setblocking(False)
        view = memoryview(data)
        at = 0
        while self.sent < limit:
            try:
                at_now = self.sock.send(view[at:])
                self.sent += at_now
                at = (at + at_now) % len(data)
            except BlockingIOError:
                # Readable means that the gateway closed: it has nothing else to say now.
                if readable(self.sock, DEADLINE, also_writable=True):
                    break
            except OSError:
                break
        self.sock.setblocking(True)
        return at

    def note_gone(self):
        if not self.gone.is_set():
            self.gone_at = time.monotonic()
            self.gone.set()

    def wait_gone(self, deadline=DEADLINE):
        """Reads until the gateway has closed; the moment is in gone_at. False if it did not."""
        end = time.monotonic() + deadline
        try:
            while self.source.fill(end - time.monotonic()):
                pass
        except (OSError, ValueError):
            pass
        except AssertionError:
            return False
        self.note_gone()
        return True

    def reset(self):
        self.closed = True
        reset(self.sock)

    def close(self):
        self.closed = True
        self.sock.close()


class Backend:
    """Listens until stop(). `requests` are the complete ones, in the order of their arrival."""

    def __init__(self, script=answer_chat, models=("m",), path=None, backlog=512, port=0):
        self.script = script
        self.early = None     # called with the head alone; True: it has done all there is to do
        self.models = models
        self.loading = False  # so say the answers to probes
        self.mute = False     # there are none
        self.slots = None     # of a llama-server: what it says to GET /slots
        # What it answers to a probe of a path before all else: a value, or (status, value), or
        # a function of the request that says one.
        self.pages = {}
        self.server = None    # its Server field on those
        self.requests = []
        self.probes = []
        self.started = []     # heads that arrived, complete or not
        self.malformed = []   # what was not HTTP; a gateway must never send such
        self.connections = []
        self.script_errors = []
        self.hold_accept = threading.Event()  # while set, connections wait in the kernel's queue
        family = socket.AF_UNIX if path else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        if not path:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(path or ("127.0.0.1", port))
        self.listener.listen(backlog)
        self.address = self.listener.getsockname()
        self.url = f"unix:{path}" if path else f"http://127.0.0.1:{self.address[1]}"
        self.stopping = False
        self.restart()

    def restart(self):
        """Accepts in a thread; also after the listener was exchanged for another."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        listener = self.listener
        while not self.stopping:
            if self.hold_accept.is_set():
                time.sleep(0.005)
                continue
            try:
                if not readable(listener, 0.05):
                    continue
                sock, _ = listener.accept()
            except (OSError, ValueError):
                return
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock)
            self.connections.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            while not peer.closed and (peer.source.buffer or self._wait(peer)):
                self._one(peer, Request(peer.source, peer))
        except Closed:
            pass
        except Malformed as error:
            self.malformed.append(str(error))
        except (OSError, ValueError):
            pass
        except Exception as error:  # a script's own fault must show in the test
            self.script_errors.append(repr(error))
        if not peer.closed:
            peer.note_gone()
            peer.sock.close()

    def _wait(self, peer):
        """Waits for the next request, as long as it takes."""
        while not self.stopping:
            if readable(peer.sock, 0.2):
                return peer.source.fill()
        return False

    def _one(self, peer, request):
        shows = request.path == "/api/show" and request.field("connection") == "close"
        if request.method == "GET" or (shows and request.read_body()):
            self.probes.append(request)
            self._answer_probe(peer, request)
            return
        self.started.append(request)
        if self.early and self.early(peer, request):
            return
        if not request.read_body():
            raise Closed("in the middle of a request")
        peer.requests += 1
        self.requests.append(request)
        self.script(peer, request)

    def _answer_probe(self, peer, request):
        if self.mute:
            return
        if request.path in self.pages:
            page = self.pages[request.path]
            page = page(request) if callable(page) else page
            status, value = page if isinstance(page, tuple) else (200, page)
            fields = {"Server": self.server} if self.server else {}
            peer.send(json_answer(value, status, "Some Reason", **fields))
        elif self.loading:
            peer.send(loading_answer())
        elif self.slots is not None and request.path in ("/props", "/slots"):
            peer.send(json_answer(self.slots if request.path == "/slots" else
                                  {"total_slots": len(self.slots), "endpoint_slots": True}))
        elif request.path.endswith("/models"):
            owner = "test" if self.slots is None else "llamacpp"
            entries = [{"id": name, "object": "model", "created": 1, "owned_by": owner}
                       for name in self.models]
            peer.send(json_answer({"object": "list", "data": entries}))
        elif request.path.endswith("/health"):
            peer.send(json_answer({"status": "ok"}))
        else:
            peer.send(json_answer({"error": {"message": "File Not Found", "code": 404,
                                             "type": "not_found_error"}}, 404, "Not Found"))

    def forget(self, script=answer_chat):
        """A fresh start for the next case; connections stay."""
        self.script, self.early, self.loading = script, None, False
        self.requests, self.started, self.probes = [], [], []

    def wait_requests(self, count, deadline=DEADLINE):
        wait_until(lambda: len(self.requests) >= count, f"{count} requests arrive", deadline)
        return self.requests[:count]

    def stop(self):
        self.stopping = True
        self.listener.close()
        for peer in self.connections:
            if not peer.closed:
                try:
                    peer.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def address_that_refuses():
    """A URL where nobody listens: bound, so that nobody else takes it, and never listened on."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, f"http://127.0.0.1:{holder.getsockname()[1]}"
