"""Writes a tiny Llama of random weights in the form that mlx_lm reads: FOLDER.

A token is a byte. What it says means nothing.
"""

import json
import os
import sys

import mlx.core
from mlx.utils import tree_flatten
from mlx_lm.models.llama import Model, ModelArgs
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

FOLDER = sys.argv[1]
END = "<end>"
TEMPLATE = "{% for message in messages %}{{ message['content'] }} {% endfor %}"


def write(name, value):
    with open(os.path.join(FOLDER, name), "w", encoding="utf-8") as file:
        json.dump(value, file)


os.makedirs(FOLDER, exist_ok=True)
words = [END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.save(os.path.join(FOLDER, "tokenizer.json"))
write("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END,
                                "chat_template": TEMPLATE})

shape = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64,
         "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5,
         "vocab_size": len(words), "max_position_embeddings": 2048, "tie_word_embeddings": True}
mlx.core.random.seed(1)
weights = dict(tree_flatten(Model(ModelArgs.from_dict(shape)).parameters()))
mlx.core.save_safetensors(os.path.join(FOLDER, "model.safetensors"), weights, {"format": "mlx"})
write("config.json", {**shape, "architectures": ["LlamaForCausalLM"], "eos_token_id": 0})
