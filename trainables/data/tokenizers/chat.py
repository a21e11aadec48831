"""The chat template of a pretrained model's tokenizer: the text around what a user says."""

from __future__ import annotations

from trainables.data.errors import DataError
from trainables.data.pretrained_files import find_source, quiet_transformers

_MESSAGE = "(the user's message)"


def chat_frame(source: str) -> tuple[str, str]:
    """Return the text before and after a user's message, up to where the answer begins.

    Args:
        source: See `pretrained_files`.

    Raises:
        DataError: If there is no such tokenizer, or it has no chat template, or one that changes the message.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(find_source(source, weights=False))
    except (ValueError, OSError) as error:
        raise DataError(f"tokenizer of {error}") from None
    if not tokenizer.chat_template:
        raise DataError(f"tokenizer '{source}' has no chat template; set chat: false")
    messages = [{"role": "user", "content": _MESSAGE}]
    before, message, after = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    ).partition(_MESSAGE)
    if not message:
        raise DataError(f"the chat template of '{source}' does not hold the user's message; set chat: false")
    return before, after
