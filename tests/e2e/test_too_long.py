#!/usr/bin/env python3
"""Requests that do not fit: into a context (R13), in every wording known, or into the minute of an
account."""

import json

from backend import answer_chat, json_answer
from harness import main
from pool_case import PoolCase, backend

# A context that is too small: the status, and the body in the words of its server.
TOO_LONG = {
    "llama-server": (400, {"error": {"code": 400, "type": "exceed_context_size_error",
                                     "message": "too long", "n_prompt_tokens": 9, "n_ctx": 4}}),
    "llama-server, embeddings": (500, {"error": {
        "code": 500, "type": "server_error", "message": "input (1536 tokens) is too large to "
        "process. increase the physical batch size (current batch size: 512)"}}),
    "llama-server, generating": (500, {"error": {
        "code": 500, "type": "server_error", "message": "Context size has been exceeded."}}),
    "LocalAI": (500, {"error": {"code": 500, "type": "", "message": "rpc error: code = Internal "
                                "desc = request (9 tokens) exceeds the available context size (4 "
                                "tokens), try increasing it"}}),
    "llama-cpp-python": (500, {"error": {
        "type": "internal_server_error", "code": None,
        "message": "Requested tokens (9437) exceed context window of 8192"}}),
    "vLLM": (400, {"object": "error", "type": "BadRequestError", "code": 400, "message":
                   "This model's maximum context length is 512 tokens. However, you requested 700 "
                   "tokens in the input for embedding generation."}),
    "SGLang": (400, {"error": {
        "type": "BadRequestError", "code": 400,
        "message": "The input (9 tokens) is longer than the model's context length (4 tokens)."}}),
    "Ollama": (500, {"error": "the input length exceeds the context length"}),
    "LM Studio": (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. "
                        "However, the model is loaded with context length of only 4096 tokens"}),
    "TabbyAPI": (503, {"error": {"message": "Request length 71599 + 2048 is greater than "
                                 "max_seq_len 65536"}}),
    "TEI": (413, {"error": "Input validation error: `inputs` must have less than 512 tokens. "
                  "Given: 598", "error_type": "Validation"}),
    "TGI": (422, {"error_type": "validation", "error":
                  "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}),
    "dasllama": (400, {"error": {"message": "the rendered prompt is 3000 tokens; the model context "
                                 "is 2048"}}),
    "mistral.rs": (422, {"message": "Prompt sequence length is greater than 4096, perhaps consider "
                         "using `truncate_sequence`?"}),
    "Anthropic": (400, {"type": "error", "error": {"type": "invalid_request_error", "message":
                        "prompt is too long: 203284 tokens > 200000 maximum"}}),
    "Gemini": (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
                      "The input token count (9) exceeds the maximum number of tokens allowed (4)."
                      }}]),
    "Bedrock": (400, {"message": "Input is too long for requested model."}),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft "
                      "tokens, too large for model with 32768 maximum context length"}),
    "vLLM, images": (400, {"object": "error", "type": "BadRequestError", "code": 400, "message":
                            "The prompt (total length 25938) is too long to fit into the model "
                            "(context length 4096). Make sure that `max_model_len` is no smaller"}),
    "llama.cpp's": (500, {"error": "context size exceeded"}),
    "Cohere": (400, {"message": "too many tokens: total tokens 700 exceeds 512"}),
    "a gateway": (413, {"error": {"message": "Request too large for model"}}),
    "LM Studio 0.4": (400, {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}),
    "TensorRT-LLM": (400, {"object": "error", "code": 400, "message": "The sum of prompt length "
                           "(9351.0), query length (0) should not exceed max_num_tokens (8192)"}),
    "MLC LLM": (400, {"error": {"message": "Request prompt has 2015 tokens in total, larger than "
                                "the model input length limit 1416."}}),
    "oMLX": (400, {"error": {"message": "Prompt too long: 35057 tokens exceeds max context window "
                             "of 32768 tokens"}}),
    "ds4": (400, {"error": {"message": "no", "type": "context_exceeded", "n_ctx": 4}}),
    "GitHub Models": (413, {"error": {"code": "tokens_limit_reached", "message": "no"}}),
    "SiliconFlow": (400, {"code": 20015, "message": "length of prompt_tokens (33000) must be less "
                          "than max_seq_len (32768).", "data": None}),
    "watsonx.ai": (400, {"errors": [{"code": "invalid_input_argument", "message": "the number of "
                                     "input tokens 4098 cannot exceed the total tokens limit 4096 "
                                     "for this model"}]}),
    "Mistral, embeddings": (400, {"object": "error", "message": "Too many tokens in batch. Max is "
                                  "16384 got 20396", "type": "invalid_request_error"}),
    "Groq": (400, {"error": {"message": "Please reduce the length of the messages or completion.",
                             "type": "invalid_request_error", "code": "context_length_exceeded"}}),
    "Cloudflare": (413, {"success": False, "errors": [{"code": 5021, "message":
                         "tokens (8810) exceeded this model context window limit (8192)"}]}),
    "FastAPI": (422, {"detail": [{"loc": ["body"], "msg": "exceeds the maximum context length"}]}),
}


class TooLong(PoolCase):

    def test_R13_every_wording_goes_to_the_chain_of_that_cause_and_blames_nobody(self):
        told = []
        small = self.scripted(lambda peer, _: peer.send(json_answer(told[1], told[0], "No")))
        large = self.scripted(answer_chat)
        gateway = self.gateway({
            "m": {"backends": [backend(small)], "health": {"probe": "off"},
                  "breaker": {"failures": 2}, "fallback": {"context_length": ["large"]}},
            "large": {"backends": [backend(large, model="large-model")]}})
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            for server, (status, body) in TOO_LONG.items():
                with self.subTest(server, path=path):
                    told[:] = status, body
                    answer = self.ask(gateway, path=path, input="x")
                    self.assertEqual(answer.status, 200, answer)
                    line = gateway.logged(id=answer.answer.field("x-request-id"))
                    self.assertEqual(line["hops"], f"{small.url} context_length")
                    self.assertEqual(line["backend"], large.url)
        self.assertEqual(len(small.requests), 2 * len(TOO_LONG))


# A request that is by itself more than the account may use in a minute, and what only looks so.
OVER_RATE = {
    "Groq": (413, {"error": {
        "message": "Request too large for model `llama-3.3-70b-versatile` in organization `org_x` "
        "service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 14810, please "
        "reduce your message size and try again.", "type": "tokens",
        "code": "rate_limit_exceeded"}}),
    "OpenAI": (429, {"error": {
        "message": "Request too large for gpt-4o in organization org-x on tokens per min (TPM): "
        "Limit 30000, Requested 342389. The input or output tokens must be reduced in order to run "
        "successfully.", "type": "tokens", "code": "rate_limit_exceeded"}}),
}


class OverRate(PoolCase):

    def case(self, now, **more):
        small = self.scripted(lambda peer, asked: now[0](peer, asked))
        large = self.scripted(answer_chat)
        return small, large, self.gateway({
            "m": {"backends": [backend(small)], "health": {"probe": "off"},
                  "breaker": {"failures": 1}, **more},
            "large": {"backends": [backend(large, model="large-model")]}})

    def test_R13_more_than_a_minutes_allowance_goes_elsewhere_and_rests_nobody(self):
        for server, (status, body) in OVER_RATE.items():
            with self.subTest(server):
                def refuse(peer, _, status=status, body=body):
                    peer.send(json_answer(body, status, "No"))
                now = [refuse]
                small, large, gateway = self.case(now, fallback={"rate_limit": ["large"]})
                told = self.assert_served(self.ask(gateway))
                line = gateway.logged(id=told.answer.field("x-request-id"))
                self.assertEqual((line["hops"], line["backend"]),
                                 (f"{small.url} over_rate", large.url))
                # Another one's request is no larger for it.
                now[:] = [answer_chat]
                told = self.assert_served(self.ask(gateway))
                self.assertEqual(told.answer.field("x-sluice-backend"), small.url)

    def test_R13_alone_it_is_told_as_it_is_and_that_waiting_is_no_use(self):
        for server, (status, body) in OVER_RATE.items():
            with self.subTest(server):
                def refuse(peer, _, status=status, body=body):
                    peer.send(json_answer(body, status, "No"))
                _, _, gateway = self.case([refuse])
                told = self.ask(gateway)
                self.assertEqual((told.status, json.loads(told.body)), (status, body))
                self.assertEqual(told.answer.field("x-should-retry"), "false")


if __name__ == "__main__":
    main()
