"""A sentence encoder small enough for tests: a real BERT with random weights, and a real WordPiece tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freshet.backends.planners.libraries import need_local

WIDTH, POSITIONS = 24, 20
WORDS = ("ghost", "house", "garden", "rose", "soup", "bread", "ship", "sea", "chess", "king", "old", "dark")


def make(folder: Path, seed: int = 0) -> Path:
    """A checkpoint as `save_pretrained` writes it."""
    need_local("torch", "transformers", "tokenizers")
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    pieces = [*special, *WORDS, *(x for x in letters if x not in WORDS), *(f"##{x}" for x in letters)]
    words = Tokenizer(models.WordPiece({word: i for i, word in enumerate(pieces)}, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer()
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(pieces), hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=32, max_position_embeddings=POSITIONS, initializer_range=0.4,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_modules(folder: Path, pooling: Mapping[str, Any], *further: str, sentences: Any = None) -> Path:
    """The files that sentence-transformers writes beside a checkpoint."""
    kinds = ["Transformer", "Pooling", *further]
    modules = [
        {"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}", "type": f"x.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": WIDTH, **pooling})
    )
    if sentences is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps(sentences))
    return folder
