"""LitServe with an OpenAI front that says the same words to everybody: PORT."""

import sys

import litserve


class Words(litserve.LitAPI):

    def setup(self, device):
        del device

    def predict(self, prompt):
        del prompt
        yield from ("hello", " ", "world")


if __name__ == "__main__":
    server = litserve.LitServer(Words(spec=litserve.OpenAISpec()), accelerator="cpu",
                                workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
