"""A raw HTTP/1.1 client for the end-to-end tests: exact bytes out, strict reading in.

It never repairs what it reads: anything that RFC 9112 does not allow in an answer raises Malformed,
so that a test cannot pass on an answer that a stricter client would refuse. All waiting has a
deadline; nothing here sleeps for a fixed time.
"""

import json
import re
import select
import socket
import struct
import time

DEADLINE = 30.0  # seconds; generous, since machines are noisy: only a hang takes this long


class Malformed(Exception):
    """The peer sent something that is not HTTP/1.1."""


class Closed(Exception):
    """The peer closed, or reset, where an answer or more of it was expected."""


def wait_until(condition, what, deadline=DEADLINE):
    """Returns the first true value of condition(); fails after the deadline."""
    begin = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begin
        if waited > deadline:
            raise AssertionError(f"after {deadline} s still not true: {what}")
        # Most of what is waited for comes within a millisecond.
        time.sleep(0 if waited < 0.001 else 0.002)


def readable(sock, seconds, also_writable=False):
    """Waits until there is something to read (or an end); with also_writable, or room to send.
    poll() and not select(): that one knows only the first 1024 descriptors."""
    poller = select.poll()
    wanted = select.POLLIN | (select.POLLOUT if also_writable else 0)
    poller.register(sock, wanted)
    found = poller.poll(max(seconds, 0) * 1000)
    return bool(found and found[0][1] & ~select.POLLOUT) if also_writable else bool(found)


SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
RECEIVE_QUEUE_AT = 72     # netlink header, four bytes of states, socket id, timer


def unread_by_peer(sock):
    """How many bytes that we sent lie unread in the peer's receive queue (loopback TCP only)."""
    try:
        theirs, ours = sock.getpeername(), sock.getsockname()
    except OSError:
        return 0  # the peer has closed
    wanted = struct.pack(">HH", theirs[1], ours[1])
    for address in (theirs, ours):
        wanted += socket.inet_aton(address[0]) + bytes(12)
    wanted += struct.pack("=III", 0, 0xffffffff, 0xffffffff)  # any interface, any cookie
    query = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xffffffff) + wanted
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(query), SOCK_DIAG_BY_FAMILY, 1, 1, 0) + query)
        reply = kernel.recv(4096)
    if struct.unpack_from("=IH", reply)[1] == SOCK_DIAG_BY_FAMILY:
        return struct.unpack_from("=I", reply, RECEIVE_QUEUE_AT)[0]
    return unread_in_table(theirs, ours)  # no such socket, or a kernel that cannot be asked


def unread_in_table(theirs, ours):
    """The same from the table of all sockets, which may be long."""
    def text(name):
        return f"{struct.unpack('<I', socket.inet_aton(name[0]))[0]:08X}:{name[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            row = line.split()
            if row[1] == text(theirs) and row[2] == text(ours):
                return int(row[4].split(":")[1], 16)
    return 0


def send_in_pieces(sock, data, cuts):
    """Sends data cut at the given offsets; each piece goes once the peer has read the one before,
    so that the peer really sees the cuts."""
    edges = [0, *sorted({c for c in cuts if 0 < c < len(data)}), len(data)]
    for begin, end in zip(edges, edges[1:]):
        sock.sendall(data[begin:end])
        if end < len(data):
            wait_until(lambda: unread_by_peer(sock) == 0, "the peer reads what it was sent", 10)


def reset(sock):
    """Closes with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)\Z")


def parse_fields(lines):
    fields = []
    for line in lines:
        match = FIELD.match(line)
        if not match:
            raise Malformed(f"header line {line!r}")
        fields.append((match.group(1).decode().lower(), match.group(2).decode("latin-1")))
    return fields


def find_field(fields, name):
    """The value of the one field of that name; None without; several are an error."""
    values = [value for key, value in fields if key == name]
    if len(values) > 1 and name in ("content-length", "transfer-encoding", "host", "content-type"):
        raise Malformed(f"{len(values)} fields {name}")
    return values[0] if values else None


class Source:
    """Reads from a socket what is asked for, and keeps the rest."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.ended = ""  # "eof" or "reset" once the peer is gone

    def fill(self, deadline=DEADLINE):
        """Takes more bytes; False when the peer has closed."""
        if self.ended:
            return False
        if not readable(self.sock, deadline):
            raise AssertionError(f"nothing came for {deadline} s; so far {self.buffer[-300:]!r}")
        try:
            data = self.sock.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            self.ended = "reset"
            return False
        if not data:
            self.ended = "eof"
            return False
        self.buffer += data
        return True

    def take(self, count):
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def until(self, mark, what, limit=1 << 20):
        """Everything up to and including the mark."""
        looked = 0
        while (at := self.buffer.find(mark, looked)) < 0:
            looked = max(0, len(self.buffer) - len(mark))
            if len(self.buffer) > limit:
                raise Malformed(f"{what} without an end")
            if not self.fill():
                raise Closed(f"{self.ended} in {what}, after {self.buffer[:300]!r}")
        return self.take(at + len(mark))

    def line(self, what):
        text = self.until(b"\r\n", what)[:-2]
        if b"\n" in text or b"\r" in text:
            raise Malformed(f"a bare CR or LF in {what}: {text!r}")
        return text


class Body:
    """The body of one message, decoded as it arrives."""

    def __init__(self, source, framing, length=0):
        self.source = source
        self.framing = framing  # "none", "length", "chunked" or "close"
        self.left = length      # bytes of the body, or of the chunk, still to come
        self.complete = framing == "none"
        self.ended = self.complete
        self.chunks = []
        self.trailers = []

    def read_some(self):
        """The next decoded bytes; b"" when the body has ended, complete or not."""
        if self.ended:
            return b""
        try:
            return self._chunked() if self.framing == "chunked" else self._plain()
        except Closed:
            self.ended = True
            return b""

    def _plain(self):
        if self.framing == "length" and self.left == 0:
            self.complete = self.ended = True
            return b""
        if not self.source.buffer and not self.source.fill():
            self.complete = self.framing == "close" and self.source.ended == "eof"
            self.ended = True
            return b""
        if self.framing == "close":
            return self.source.take(len(self.source.buffer))
        data = self.source.take(self.left)
        self.left -= len(data)
        return data

    def _chunked(self):
        if self.left == 0:
            size = self.source.line("a chunk's size line")
            if not re.match(rb"[0-9a-fA-F]{1,16}(?:;[\t\x20-\x7e]*)?\Z", size):
                raise Malformed(f"chunk size line {size!r}")
            self.left = int(size.split(b";")[0], 16)
            if self.left == 0:
                while line := self.source.line("the trailers"):
                    self.trailers += parse_fields([line])
                self.complete = self.ended = True
                return b""
            self.chunks.append(self.left)
        if not self.source.buffer and not self.source.fill():
            raise Closed(f"{self.source.ended} in a chunk")
        data = self.source.take(self.left)
        self.left -= len(data)
        if self.left == 0 and self.source.line("the end of a chunk") != b"":
            raise Malformed("chunk data does not end where its size says")
        return data

    def read_all(self):
        parts = []
        while part := self.read_some():
            parts.append(part)
        return b"".join(parts)


class Answer:
    """One response. Its body may be read as it comes (read_some) or whole (body)."""

    def __init__(self, source, method):
        self.interim = []  # heads of 1xx answers that came before: (status, fields)
        while True:
            head = source.until(b"\r\n\r\n", "a response head")
            lines = head[:-4].split(b"\r\n")
            match = STATUS_LINE.match(lines[0])
            if not match or b"\n" in b"".join(lines):
                raise Malformed(f"response head {head!r}")
            self.status = int(match.group(1))
            self.fields = parse_fields(lines[1:])
            if self.status >= 200:
                break
            self.interim.append((self.status, self.fields))
        self.head = head
        self.stream = Body(source, *self._framing(method))
        self._body = b""

    def _framing(self, method):
        length = self.field("content-length")
        coding = self.field("transfer-encoding")
        if length is not None and coding is not None:
            raise Malformed("Content-Length beside Transfer-Encoding")
        if method == "HEAD" or self.status in (204, 304):
            return ("none",)
        if coding is not None:
            if coding.lower() != "chunked":
                raise Malformed(f"Transfer-Encoding {coding!r}")
            return ("chunked",)
        if length is not None:
            if not re.match(r"[0-9]+\Z", length):
                raise Malformed(f"Content-Length {length!r}")
            return ("length", int(length))
        return ("close",)

    def field(self, name):
        return find_field(self.fields, name)

    def read_some(self):
        part = self.stream.read_some()
        self._body += part
        return part

    def read_until(self, mark):
        """Reads on until the body holds the mark; returns all of the body so far."""
        while mark not in self._body:
            if not self.read_some():
                raise Closed(f"the body ended without {mark!r}: {self._body[-300:]!r}")
        return self._body

    @property
    def body(self):
        parts = [self._body]
        while part := self.stream.read_some():
            parts.append(part)
        self._body = b"".join(parts)
        return self._body

    @property
    def complete(self):
        """The body came to the end that its framing promised."""
        _ = self.body
        return self.stream.complete

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def closes(self):
        options = ",".join(v for k, v in self.fields if k == "connection").lower()
        return "close" in [option.strip() for option in options.split(",")]

    def __repr__(self):
        return f"<{self.head!r} {self._body[:400]!r}>"


class Client:
    """One connection to the gateway; bytes go out exactly as given."""

    def __init__(self, address, receive_buffer=None, source_address=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source_address:
            self.sock.bind((source_address, 0))
        self.sock.settimeout(DEADLINE)
        self.sock.connect(address)
        if family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.source = Source(self.sock)
        self.answer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_some(self, data):
        """Sends, and does not mind a peer that has had enough: what it answered still counts."""
        try:
            self.sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            return False
        return True

    def send_in_pieces(self, data, cuts):
        send_in_pieces(self.sock, data, cuts)

    def read(self, method="GET"):
        """The next answer; only its head is waited for. The one before is read to its end."""
        if self.answer:
            _ = self.answer.body
        self.answer = Answer(self.source, method)
        return self.answer

    def ask(self, data, method="GET"):
        """Sends a request and reads the whole answer to it."""
        self.send(data)
        answer = self.read(method)
        _ = answer.body
        return answer

    def read_to_close(self, deadline=DEADLINE):
        """All bytes until the peer closes, and how it did: "eof" or "reset"."""
        end = time.monotonic() + deadline
        while self.source.fill(end - time.monotonic()):
            pass
        return self.source.take(len(self.source.buffer)), self.source.ended

    def silent_for(self, seconds):
        """Whether the peer sends nothing for that long and does not close."""
        return not self.source.buffer and not readable(self.sock, seconds)

    def shut_write(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()
