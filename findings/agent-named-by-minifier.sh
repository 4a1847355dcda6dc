#!/usr/bin/env bash
# openai (JavaScript) 6.49.0: its User-Agent is the name of the class, as a bundler left it.
#
# The header is made of this.constructor.name. A minified bundle, as many command-line tools on npm
# are, calls itself by a letter or two; a subclass without a name has nothing in front of the slash.
# So one SDK has as many agents as there are builds, and a log or a rule that goes by "OpenAI/JS"
# misses most of them. x-stainless-lang and x-stainless-package-version stay what they are.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund openai@6.49.0 esbuild@0.25.0

cat >run.mjs <<'JS'
import OpenAI from "openai";

async function fetch(_, { headers }) {
  const sent = new Headers(headers);
  const version = sent.get("x-stainless-package-version");
  console.log(`${sent.get("user-agent")} (${sent.get("x-stainless-lang")} ${version})`);
  return Response.json({ data: [] });
}
const options = { apiKey: "none", baseURL: "http://127.0.0.1:9/v1", fetch };
await new OpenAI(options).models.list();
await new (class extends OpenAI {})(options).models.list();
JS
{
    echo "as published:"
    node run.mjs
    echo "minified:"
    npx esbuild run.mjs --bundle --minify --platform=node --format=esm --log-level=error \
        --outfile=small.mjs
    node small.mjs | sed -E 's#^[A-Za-z_$]{1,2}/#ONE OR TWO LETTERS/#'
} | tee seen
cat >expected <<'TEXT'
as published:
OpenAI/JS 6.49.0 (js 6.49.0)
/JS 6.49.0 (js 6.49.0)
minified:
ONE OR TWO LETTERS/JS 6.49.0 (js 6.49.0)
/JS 6.49.0 (js 6.49.0)
TEXT
diff expected seen && echo "still so"
