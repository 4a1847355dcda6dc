#!/usr/bin/env python3
"""C5 in a real browser: pages of this machine, of the list and of the web, in headless Chromium.

    CHROMIUM    the program; else the first that is found of the usual names

The pages lie on a small server of the test, under several names that the browser is told to find on
this machine. Each runs its calls, and tells what came of them by a POST to where it came from.
"""

import http.server
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from backend import DONE, LAST_CHUNK, Backend, chat_answer, chunk, delta, finish, head, sse_head
from harness import Gateway, main, settings
from test_routes import Server
from wire import wait_until

BROWSER = os.environ.get("CHROMIUM") or next(filter(None, map(
    shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PATIENCE = 120

PAGE = """<!doctype html><title>page</title><script>
async function run(calls) {
  const told = [];
  for (const call of calls) {
    try {
      const answer = await fetch(call.url, call.init || {});
      told.push({status: answer.status, type: answer.type, text: await answer.text(),
                 id: answer.headers.get("x-request-id")});
    } catch (error) {
      told.push({error: String(error)});
    }
  }
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
}
run(CALLS);
</script>"""

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def post(body, **fields):
    return {"method": "POST", "body": json.dumps(body),
            "headers": {"Content-Type": "application/json", **fields}}


class Pages:
    """Serves `page` to whoever asks, and keeps what it tells."""

    def __init__(self):
        self.page, self.told = "", []
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = pages.page.encode() if self.path == "/" else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                pages.told.append(json.loads(text))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@unittest.skipIf(BROWSER is None, "there is no Chromium here (Debian's package: chromium)")
class Chromium(unittest.TestCase):

    def answer(self, peer, seen):
        if seen.json.get("stream"):
            peer.send(sse_head() + chunk(delta("streamed") + finish() + DONE) + LAST_CHUNK)
        else:
            peer.send(chat_answer("answered"))

    def setUp(self):
        self.pages = Pages()
        self.backend = Backend(self.answer)
        self.site = Server(lambda peer, _: peer.send(
            head(Content_Type="text/html", Content_Length=2) + b"ui"))
        for each in (self.pages, self.backend, self.site):
            self.addCleanup(each.stop)
        route = {"backends": [{"url": self.site.url}]}
        self.gateway = Gateway(*settings({
            "discover": False, "models": {"m": {"backends": [{"url": self.backend.url}]}},
            "routes": [{"path": "/ui", "navigate": True, **route}, {"path": "/tool", **route}]}),
            "--allow-origin", "http://*.listed.example:*")
        self.addCleanup(self.gateway.stop)

    def url(self, path, host="127.0.0.1"):
        return f"http://{host}:{self.gateway.port}{path}"

    def browse(self, host, page, done):
        """Opens the page under that name, until `done`."""
        self.pages.page = page
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = subprocess.Popen(
                [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                 "--disable-dev-shm-usage", "--disable-background-networking",
                 "--disable-component-update", f"--user-data-dir={profile}",
                 "--host-resolver-rules=MAP *.example 127.0.0.1, MAP *.invalid ~NOTFOUND",
                 f"http://{host}:{self.pages.port}/"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)
            try:
                return wait_until(done, f"the page of {host} is through", PATIENCE)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()

    def call(self, host, *calls):
        """What a page of that host hears."""
        self.pages.told = []
        page = PAGE.replace("CALLS", json.dumps([{"url": url, "init": init}
                                                 for url, init in calls]))
        return self.browse(host, page, lambda: self.pages.told and self.pages.told[0])

    def test_C5_a_page_of_this_machine_reads_answers_streams_and_errors(self):
        answer, stream, error, models = self.call(
            "localhost",
            (self.url("/v1/chat/completions"), post(CHAT, Authorization="Bearer x")),
            (self.url("/v1/chat/completions"), post({**CHAT, "stream": True})),
            (self.url("/v1/chat/completions"), post({**CHAT, "model": "other"})),
            (self.url("/v1/models"), {}))
        self.assertEqual((answer.get("status"), answer.get("type")), (200, "cors"), answer)
        self.assertIn("answered", answer["text"])
        self.assertTrue(answer["id"])
        self.assertIn("streamed", stream["text"])
        self.assertIn("[DONE]", stream["text"])
        self.assertEqual(error.get("status"), 404, error)
        self.assertIn("not served", error["text"])
        self.assertIn('"m"', models["text"])

    def test_C5_a_page_of_the_list_does_too_and_one_of_the_web_reaches_nothing(self):
        self.assertIn("answered", self.call(
            "app.listed.example", (self.url("/v1/chat/completions"), post(CHAT)))[0].get("text"))
        self.assertEqual(len(self.backend.requests), 1)
        plain = {"method": "POST", "mode": "no-cors", "body": json.dumps(CHAT)}
        mapped = self.url("/tool/x", "[::ffff:7f00:1]")
        told = self.call(
            "evil.example", (self.url("/v1/chat/completions"), post(CHAT)),
            (self.url("/v1/models"), {}), (self.url("/v1/chat/completions"), plain),
            (self.url("/api/chat"), plain), (self.url("/tool/x"), {"mode": "no-cors"}),
            (self.url("/tool/x", "localhost"), {"mode": "no-cors"}), (mapped, {"mode": "no-cors"}),
            (self.url("/tool/x", "127.1"), {"mode": "no-cors"}),
            (self.url("/tool/x", "0.0.0.0"), {"mode": "no-cors"}))
        for each in told[:2]:
            self.assertIn("error", each)
        for each in told[2:]:  # opaque where it was answered: nobody can read it
            self.assertFalse(each.get("text"))
        self.assertEqual((len(self.backend.requests), self.site.requests), (1, []))

    def test_C5_a_link_opens_a_web_ui_and_no_other_route(self):
        link = "<!doctype html><script>location.href = URL</script>"
        seen = lambda path: [r for r in self.site.requests if r.target == path]
        self.browse("evil.example", link.replace("URL", json.dumps(self.url("/ui/page"))),
                    lambda: seen("/ui/page"))
        frame = (f"<!doctype html><iframe src='{self.url('/ui/framed')}'></iframe>"
                 f"<img src='{self.url('/ui/picture')}'>"
                 f"<script>onload = () => fetch('/told', {{method: 'POST', body: '1'}})</script>")
        self.pages.told = []
        self.browse("evil.example", frame, lambda: self.pages.told)
        self.browse("evil.example", link.replace("URL", json.dumps(self.url("/tool/page"))),
                    lambda: any(line["path"] == "/tool/page" for line in self.gateway.log()))
        self.assertEqual([r.target for r in self.site.requests if r.target != "/ui/page"
                          and not r.target.endswith("favicon.ico")], [])
        self.assertEqual(self.gateway.logged(path="/tool/page")["status"], 403)


if __name__ == "__main__":
    main()
