"""A GGUF file of a folder with a small Qwen3 checkpoint, in float32, for llama.cpp.

    PYTHONPATH=llama.cpp/gguf-py:benchmarks python -c "import gguf_file; gguf_file.main()" FOLDER FILE

llama.cpp's own `convert_hf_to_gguf.py` knows the tokenizers of published models, not one made a minute
ago. How texts are cut up doesn't matter here, as prompts go to the server as token ids.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
from safetensors.numpy import load_file

OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""What Hugging Face calls a weight, and what llama.cpp calls it."""


def main() -> None:
    write(Path(sys.argv[1]), Path(sys.argv[2]))


def write(folder: Path, file: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(file, "qwen3")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_vocabulary(writer, json.loads((folder / "tokenizer.json").read_text()), config)
    for name, values in load_file(folder / "model.safetensors").items():
        writer.add_tensor(called(name.removesuffix(".weight")) + ".weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer: dict, config: dict) -> None:
    """The tokens by their ids; those that were added are spelled as they are."""
    spelled = {index: token for token, index in tokenizer["model"]["vocab"].items()}
    added = {one["id"]: one["content"] for one in tokenizer["added_tokens"]}
    special = {one["id"] for one in tokenizer["added_tokens"] if one["special"]}
    kinds = gguf.TokenType
    tokens, types = [], []
    for index in range(config["vocab_size"]):
        token = added.get(index, spelled.get(index))
        tokens.append(token if token is not None else f"[PAD{index}]")
        kind = kinds.UNUSED if token is None else kinds.USER_DEFINED if index in added else kinds.NORMAL
        types.append(kinds.CONTROL if index in special else kind)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])


def called(name: str) -> str:
    """llama.cpp's name of a weight."""
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER[rest]}"
