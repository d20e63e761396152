"""Section on what language knows of items: [content]."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from freshet.core.config.endpoint_url import KEY_NAME, check_endpoint
from freshet.core.config.section import Section


class ContentConfig(Section):
    """Whether items' texts and who engages with them help to rank, and what turns texts into vectors."""

    use: bool = Field(
        True,
        description="weigh how near interests are to what a user engaged last; it enters where it "
        "lowers the loss on held-out windows",
    )
    encoder: Literal["tfidf", "wordllama", "transformers", "openai"] = Field(
        "tfidf",
        description="tfidf = the words of this catalogue, as interests have them; wordllama = small ready "
        "word vectors taken from an LLM; transformers = any sentence encoder on this machine; "
        "openai = any server that speaks OpenAI's embeddings protocol, which texts are sent to",
    )
    model: str = Field(
        "",
        description="folder of the sentence encoder, known by its bytes, or its name on the Hugging Face hub "
        "once downloaded (transformers); the server's name of the model (openai)",
    )
    endpoint: str = Field(
        "", description="base URL of the server, such as `https://api.openai.com/v1` (openai)"
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY",
        pattern=KEY_NAME,
        description="environment variable that holds the server's key; '' or unset = no key is sent (openai)",
    )
    batch_size: int = Field(
        64, ge=1, le=2048, description="texts encoded together (transformers), or sent together (openai)"
    )
    timeout_seconds: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="how long the server may keep silent (openai)"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Each encoder has what it needs."""
        if self.encoder == "transformers" and not self.model:
            raise ValueError(
                'encoder = "transformers" needs model: the folder of a sentence encoder, or its name on the '
                "hugging face hub"
            )
        if self.encoder == "openai" and not self.model:
            raise ValueError('encoder = "openai" needs model: what the server calls it')
        if self.encoder == "openai":
            check_endpoint(self.endpoint, 'encoder = "openai"')
        return self
